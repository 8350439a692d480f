/* SPDX-License-Identifier: ISC */
/*
 * policy_staging: the files of a policy on its way into force: uploaded over one connection, or
 * those of a version that is kept.
 */
#ifndef MORTISE_POLICY_STAGING_H
#define MORTISE_POLICY_STAGING_H

#include "policy_record.h"

struct policy_staging {
	struct policy_files in;
	char *texts[POLICY_FILES_MAX]; /* uploaded; NULL where the text is in the record */
	uint8_t *record;               /* NULL: uploaded */
	size_t total;
};

/* NULL is allowed. */
void policy_staging_free(struct policy_staging *staging);

#endif
