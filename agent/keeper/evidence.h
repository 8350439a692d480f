/* SPDX-License-Identifier: ISC */
/*
 * evidence: what a policy may ask about a caller beyond his ids: unit, exe and label; and, for
 * the audit, who logged in. Each look-up is made between two proofs that the pinned process
 * lives, so that its pid is its own. What cannot be had is FACT_UNKNOWN, never a guess: it
 * matches no allow and every deny. Gathered at most once for each caller.
 * Knows nothing of rules or frames. docs/callers.md says what each fact is worth.
 */
#ifndef MORTISE_EVIDENCE_H
#define MORTISE_EVIDENCE_H

#include "caller.h"

struct evidence;

/*
 * witness: a socket to the monitor's process that reads /proc/PID/exe (processes.h), which is
 * then the evidence's; -1: none. MORTISE_BUSY.
 */
enum mortise_status evidence_new(int witness, struct evidence **out_evidence) MUST_USE;
/* NULL is allowed. */
void evidence_free(struct evidence *evidence);

/* Gathers those of facts (bits 1 << ATTRIBUTE_...) that were not gathered yet. */
void evidence_gather(struct evidence *evidence, struct caller *caller, unsigned facts);

/* Fills in the caller's login uid and session, UINT32_MAX where there is none. */
void evidence_gather_login(struct caller *caller);

/* What is in force, for `status`, judged by one who asks. */
const char *evidence_of_units(const struct caller *caller);
const char *evidence_of_users(void);
const char *evidence_of_labels(const struct caller *caller);
const char *evidence_of_exes(const struct evidence *evidence);

/* Does the kernel tell labels? Judged by one who asks. */
bool evidence_has_labels(const struct caller *caller);

/* Can the programs of other users be had? For `policy apply`. */
bool evidence_has_witness(const struct evidence *evidence);

/* How often units were read from /proc, for tests. */
uint64_t evidence_unit_reads(const struct evidence *evidence);

#endif
