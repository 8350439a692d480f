/* SPDX-License-Identifier: ISC */
/* backup: a copy of the store, brought to the agent. */
#ifndef MORTISE_CLI_BACKUP_H
#define MORTISE_CLI_BACKUP_H

#include "progress.h"

/*
 * Sends the file to the agent, and has it read whole: with the recovery key if --recovery or
 * --recovery-file is there. The connection stays pinned, since the copy is its own; the caller
 * unpins. CLI_DONE, or an exit status after the error.
 */
int backup_bring(struct cli *cli, const char *name, struct paged *out_totals);

#endif
