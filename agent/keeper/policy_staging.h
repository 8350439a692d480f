/* SPDX-License-Identifier: ISC */
/*
 * policy_staging: the files of a policy while they are uploaded, a connection's own. Shared by
 * request_policy_stage.c and request_policy.c; nobody else includes it.
 */
#ifndef MORTISE_POLICY_STAGING_H
#define MORTISE_POLICY_STAGING_H

#include "policy_record.h"

/* Files being uploaded over one connection. */
struct policy_staging {
	struct policy_file files[POLICY_FILES_MAX];
	char names[POLICY_FILES_MAX][POLICY_FILE_NAME_MAX];
	char *texts[POLICY_FILES_MAX];
	size_t count, total;
};

#endif
