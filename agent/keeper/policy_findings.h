/* SPDX-License-Identifier: ISC */
/*
 * policy_findings: what a new policy changes and what is odd about it, ready for an answer and
 * bounded to fit one beside other fields. The items are those of docs/protocol.md.
 */
#ifndef MORTISE_POLICY_FINDINGS_H
#define MORTISE_POLICY_FINDINGS_H

#include <time.h>

#include "policy.h"
#include "wire.h"

struct policy_findings;

/* MORTISE_BUSY without memory. */
enum mortise_status policy_findings_new(const struct policy *before, const struct policy *after,
	time_t now, struct policy_findings **out_findings) MUST_USE;
/* Puts ITEMS. */
void policy_findings_put(const struct policy_findings *findings, struct wire_writer *reply);
/* NULL is allowed. */
void policy_findings_free(struct policy_findings *findings);

#endif
