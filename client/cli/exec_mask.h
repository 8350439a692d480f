/* SPDX-License-Identifier: ISC */
/*
 * exec_mask: which values of a plan are masked in CMD's output, and what is said of the others. A
 * user's name or a host's is no secret, and where it is replaced a dump is another.
 */
#ifndef MORTISE_CLI_EXEC_MASK_H
#define MORTISE_CLI_EXEC_MASK_H

#include "exec_plan.h"
#include "mask.h"

/* CLI_DONE, or an exit status after the error. NULL with --no-mask. */
int exec_mask_make(struct cli *cli, const struct exec_plan *plan, struct mask **out_mask);

/*
 * Does a secret of that name, or a field of it, have a name in it, and not what nobody is to know?
 * The name says so by its last word (db-user, host), and the value looks like one (shopadmin,
 * db1.example.org).
 */
bool exec_mask_is_word(const char *path, const char *field, const uint8_t *value, size_t size);

#endif
