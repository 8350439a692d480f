/* SPDX-License-Identifier: ISC */
/*
 * policy_test: files of expectations about a policy, judged without an agent or its users.
 *
 *	[user backup]                 ; what names mean here; others mean ids nobody has
 *	id     = 34
 *	groups = dba 1001
 *
 *	[group dba]
 *	id = 50
 *
 *	[expect nightly-reads]
 *	user   = backup               ; or an id; without it one whom no rule names
 *	group  = dba                  ; further groups
 *	unit   = backup.service       ; or names as subject.h has them, or a cgroup's path
 *	exe    = /usr/bin/restic      ; without it, as without unit and label, one that no
 *	label  = backup_t             ; rule names; "?" is one that cannot be had
 *	socket = main                 ; the default
 *	at     = 2026-11-23T02:30Z    ; without it now
 *	verb   = read
 *	path   = prod/db/password     ; none for audit and admin
 *	result = allow                ; or deny
 *	rule   = nightly-backup       ; may be left out
 */
#ifndef MORTISE_POLICY_TEST_H
#define MORTISE_POLICY_TEST_H

#include "policy.h"

struct policy_test_result {
	const char *name, *file;
	unsigned line;
	bool passed;
	const char *text; /* what was decided, and why */
};
typedef void policy_test_visit(void *context, const struct policy_test_result *result);

/*
 * Calls visit for each expectation, in order, once all is read. MORTISE_REJECTED with out_error
 * for a mistake in either kind of files; MORTISE_BUSY without memory.
 */
enum mortise_status policy_test(const struct policy_file *policy_files, size_t policy_count,
	const struct policy_file *test_files, size_t test_count, time_t now,
	policy_test_visit *visit, void *context, struct policy_error *out_error) MUST_USE;

#endif
