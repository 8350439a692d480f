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

#include <stdbool.h>
#include <stddef.h>

#include "caller.h"
#include "status.h"

struct evidence;

/*
 * witness: looks first, and says who runs which program if has_exe; it is the evidence's then.
 * NULL: none. MORTISE_BUSY.
 */
enum mortise_status evidence_new(
	struct witness_link *witness, bool has_exe, struct evidence **out_evidence) MUST_USE;
/* NULL is allowed. */
void evidence_free(struct evidence *evidence);

/*
 * Gathers those of facts (bits 1 << ATTRIBUTE_...) that were not gathered yet, at once. The
 * program, where there is a witness, has to be waited for: see below.
 */
void evidence_gather(struct evidence *evidence, struct caller *caller, unsigned facts);

/* Is there a witness, and something about this caller that it was not asked yet, or in vain? */
bool evidence_is_wanting(const struct evidence *evidence, const struct caller *caller);

/*
 * Before anything is asked of /proc about a caller: true: the witness looks, and told is called
 * once it has, never from within; caller_done() ends that. false: there is nothing to wait for.
 * facts (bits 1 << ATTRIBUTE_...): those on which a rule depends.
 */
bool evidence_await_look(struct evidence *evidence, struct caller *caller, unsigned facts,
	void (*told)(void *context), void *context) MUST_USE;

/*
 * Is there a witness to ask, and was this caller's program not looked for yet? What could not be
 * looked for is forgotten by that.
 */
bool evidence_may_await_exe(const struct evidence *evidence, struct caller *caller);

/*
 * true: the caller's program is being asked for, and told (NULL: nobody) is called once it is
 * gathered, and never from within; caller_done() ends that. false: there is nothing to wait for.
 */
bool evidence_await_exe(struct evidence *evidence, struct caller *caller,
	void (*told)(void *context), void *context) MUST_USE;

/* Fills in the caller's login uid and session, UINT32_MAX where there is none. */
void evidence_gather_login(struct caller *caller);

/* What is in force, for `status`, judged by one who asks. */
const char *evidence_of_users(const struct evidence *evidence);
/* Of a fact; NULL: it needs no source. */
const char *evidence_describe(
	const struct evidence *evidence, const struct caller *caller, enum attribute attribute);
/* Of witnesses so far; zeros where there are none. */
struct witness_report evidence_witness(const struct evidence *evidence);

/* Is there a source for that fact about anybody? Judged by one who asks. */
bool evidence_is_there(
	const struct evidence *evidence, const struct caller *caller, enum attribute attribute);

/* Can the programs of other users be had? For `policy apply`. */
bool evidence_has_witness(const struct evidence *evidence);

/* How often units were read from /proc, for tests. */
uint64_t evidence_unit_reads(const struct evidence *evidence);

/*
 * The systemd unit that a process is in, from the text of its /proc/PID/cgroup. Only the hierarchy
 * that systemd itself keeps counts: the unified one (v2), v1's name=systemd, or, on a hybrid, both.
 * Pure; how a path becomes names is subject_unit()'s affair.
 */

#define CGROUP_TEXT_MAX  16384 /* of /proc/PID/cgroup: a dozen hierarchies */
#define CGROUP_NAMES_MAX 4096

struct cgroup_unit {
	char names[CGROUP_NAMES_MAX]; /* as subject_unit() gives them */
	bool is_unified;              /* the v2 path says so: the cgroup's id stands for it */
};

/*
 * text: all of the file (cgroups(7)), no NUL needed. A hierarchy in which the process sits at
 * the root is one that no systemd keeps; where two are kept, they must name the same units.
 * MORTISE_REJECTED if there is no unit or the text is not what the kernel writes.
 */
enum mortise_status cgroup_read(const char *text, size_t size, struct cgroup_unit *out_unit)
	MUST_USE;

#endif
