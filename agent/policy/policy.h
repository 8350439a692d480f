/* SPDX-License-Identifier: ISC */
/*
 * policy: which caller may do what to which secret.
 * A policy never changes once it is compiled; deny wins, and none means denied.
 * Knows nothing of sockets, storage, keys or name services: names are pinned to ids by
 * whoever asks the name service.
 *
 *	[rule nightly-backup]
 *	allow  = read list
 *	secret = prod/db-* prod/s3/key    ; blanks separate alternatives
 *	user   = backup root              ; names or numbers
 *	group  = dba
 *
 * Within a rule all attributes must match; the values of one are alternatives. An allow
 * needs user or group. `secret` may be left out only where all verbs are audit or admin,
 * which name no secret; otherwise such a verb needs a pattern of `**`. An allow for nobody
 * (that name, ids 65534 and 4294967295) is refused. A deny without user and group concerns
 * everybody, one without secret every path and what concerns none.
 */
#ifndef MORTISE_POLICY_H
#define MORTISE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "status.h"

#define POLICY_FILES_MAX  64
#define POLICY_TEXT_MAX   16777216 /* bytes in all files */
#define POLICY_RULES_MAX  200000
#define POLICY_VALUES_MAX 1024 /* of one attribute of one rule */
#define POLICY_TITLE_MAX  64   /* [A-Za-z0-9][A-Za-z0-9._-]* */
#define POLICY_NAME_MAX   255  /* bytes in the name of a user or group */

enum verb {
	VERB_READ = 1,
	VERB_LIST = 2,
	VERB_WRITE = 4,
	VERB_DELETE = 8,
	VERB_ROTATE = 16,
	VERB_AUDIT = 32,
	VERB_ADMIN = 64,
};

/* The verb of that name, or 0. */
enum verb verb_of_name(const char *name);
/* "read"; "?" for what is no single verb. */
const char *verb_name(enum verb verb);

/* Who asks: ids only, all from the kernel (or, for `policy check`, from the name service). */
struct subject {
	uint32_t uid;
	const uint32_t *groups; /* the primary one among them */
	size_t group_count;
};

struct policy_file {
	const char *name; /* for messages and `policy show`: "10-backup.policy" */
	const char *text;
	size_t size;
};

struct policy_error {
	char text[512]; /* "10-backup.policy:3:10: expected a verb (read, list, ...), not 'reed'" */
};

enum policy_name_kind { POLICY_USER, POLICY_GROUP };

/* A name that occurs in the policy, once however often it occurs; never one of digits alone. */
struct policy_name {
	enum policy_name_kind kind;
	const char *name;
	const char *file; /* where it occurs first */
	unsigned line, column;
};

struct decision {
	bool allowed;
	const char *rule; /* the first in the text that decided; the policy's; NULL: none */
};

struct policy;

/*
 * Reads all files as one policy; the files are not needed afterwards. MORTISE_REJECTED with
 * out_error; MORTISE_BUSY without memory. The result still has to be told what its names mean
 * (policy_pin) and compiled.
 */
enum mortise_status policy_parse(const struct policy_file *files, size_t file_count,
	struct policy **out_policy, struct policy_error *out_error) MUST_USE;

size_t policy_name_count(const struct policy *policy);
struct policy_name policy_name_at(const struct policy *policy, size_t index);

/* Says what id a name means; the last word counts, until policy_compile(). */
void policy_pin(struct policy *policy, size_t index, uint32_t id);

/*
 * Builds the index by uid and gid. MORTISE_REJECTED with out_error if a name was not pinned
 * ("...: no such user 'bacup'") or an allow turns out to be for nobody; MORTISE_BUSY without
 * memory. After this the policy is constant.
 */
enum mortise_status policy_compile(struct policy *policy, struct policy_error *out_error) MUST_USE;

/* How many rules. */
size_t policy_rule_count(const struct policy *policy);

/*
 * Pure. path is valid, or NULL for what concerns no secret. The cost depends on the rules
 * that name the subject or no one, not on all rules. now is in seconds since 1970. The
 * overflow uid (65534) is allowed nothing; where groups are missing, each deny by group holds.
 */
struct decision policy_decide(const struct policy *policy, const struct subject *subject,
	enum verb verb, const char *path, time_t now);

/* NULL is allowed. */
void policy_free(struct policy *policy);

#endif
