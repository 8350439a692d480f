/* SPDX-License-Identifier: ISC */
/* hygiene_log: which of the secrets that one may list were ever read, by the audit log. */
#ifndef MORTISE_CLI_HYGIENE_LOG_H
#define MORTISE_CLI_HYGIENE_LOG_H

#include "listing.h"
#include "progress.h"

struct hygiene_secret {
	char path[MORTISE_PATH_MAX + 1];
	bool is_read;
};

struct hygiene_log {
	struct hygiene_secret *secrets; /* by path */
	size_t count;
};

enum mortise_status hygiene_log_collect(
	struct cli *cli, struct progress *progress, struct hygiene_log *log) MUST_USE;
void hygiene_log_done(struct hygiene_log *log);

#endif
