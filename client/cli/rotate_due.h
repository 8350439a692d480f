/* SPDX-License-Identifier: ISC */
/* rotate_due: every secret that is overdue and that one may rotate. */
#ifndef MORTISE_CLI_ROTATE_DUE_H
#define MORTISE_CLI_ROTATE_DUE_H

#include "rotation.h"

/* Goes on after a failure, which it tells; the exit status is then 1. generate may be NULL. */
int rotate_due(struct cli *cli, const struct generate *generate);

#endif
