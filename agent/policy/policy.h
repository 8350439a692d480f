/* SPDX-License-Identifier: ISC */
/*
 * policy: which caller may do what to which secret.
 * A policy never changes once it is compiled, but for what its names still mean; deny wins,
 * and none means denied. Knows nothing of sockets, storage, keys or name services: names are
 * pinned to ids by whoever asks the name service.
 *
 *	[rule nightly-backup]
 *	allow   = read list
 *	secret  = prod/db-* prod/s3/key    ; blanks separate alternatives
 *	user    = backup root              ; names or numbers
 *	group   = dba
 *	unit    = backup.service backup@*.service user:sync.service batch.slice
 *	exe     = /usr/bin/restic
 *	label   = backup_t                 ; an SELinux type, or a whole label
 *	socket  = web                      ; the listener's name; the agent's own is "main"
 *	hours   = 02:30-04:30 22:00-01:00Z ; the host's zone, or Z for UTC
 *	days    = mon-fri sun
 *	expires = 2026-12-31               ; or 2026-12-31T18:00, or either with Z
 *	rate    = 20/h                     ; for each uid; /min, /h or /d
 *
 *	[quota dev]                        ; how much may be kept
 *	secret  = dev-*
 *	size    = 16M
 *
 *	[credential dbpass]                ; what a service manager may hand to a unit
 *	unit   = backup.service
 *	secret = prod/db/password
 *
 * Within a rule all attributes must match; the values of one are alternatives. docs/policy.md
 * is the whole language. An allow needs user, group, unit, label or socket; what everybody
 * has (socket main, label unconfined) or may make for himself (units of user managers) only
 * narrows. An allow for nobody (that name, ids 65534 and 4294967295) is refused.
 */
#ifndef MORTISE_POLICY_H
#define MORTISE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "status.h"
#include "subject.h"
#include "verbs.h"

#define POLICY_FILES_MAX       64
#define POLICY_TEXT_MAX        16777216 /* bytes in all files */
#define POLICY_RULES_MAX       200000
#define POLICY_CREDENTIALS_MAX 1024
#define POLICY_QUOTAS_MAX      64
#define POLICY_VALUES_MAX      1024 /* of one attribute of one rule */
#define POLICY_TITLE_MAX       64   /* [A-Za-z0-9][A-Za-z0-9._-]* */
#define POLICY_NAME_MAX        255  /* bytes in the name of a user or group */
#define POLICY_UNIT_MAX        255
#define POLICY_RATE_MAX        1000000 /* in one period */

struct policy_file {
	const char *name; /* for messages and `policy show`: "10-backup.policy" */
	const char *text;
	size_t size;
};

struct policy_error {
	char text[512]; /* "10-backup.policy:3:10: expected a verb (read, list, ...), not 'reed'" */
};

enum policy_name_kind { POLICY_USER, POLICY_GROUP };

/* What became of a name since it was pinned. */
enum policy_name_state {
	POLICY_NAME_SAME,
	POLICY_NAME_GONE,    /* for certain: the name service said so */
	POLICY_NAME_CHANGED, /* it means another id now */
};

/* A name that occurs in the policy, once however often it occurs; never one of digits alone. */
struct policy_name {
	enum policy_name_kind kind;
	const char *name;
	const char *file; /* where it occurs first */
	unsigned line, column;
};

/* count in any period, as a bucket of so many that fills evenly; count 0: no limit. */
struct rate_limit {
	uint32_t count, period_s;
};

struct decision {
	bool allowed;
	const char *rule;       /* that decided; the policy's; NULL: none */
	struct rate_limit rate; /* of an allow: see rate.h */
	uint32_t rule_number;   /* its place in the policy, where rule is not NULL */
};

struct policy;

/* The clock is not believed. */
#define POLICY_TIME_UNKNOWN ((time_t)-1)

/*
 * Reads all files as one policy; the files are not needed afterwards. MORTISE_REJECTED with
 * out_error; MORTISE_BUSY without memory. The result still has to be told what its names mean
 * (policy_pin) and compiled. Times without Z are of the zone that tzset(3) set.
 */
enum mortise_status policy_parse(const struct policy_file *files, size_t file_count,
	struct policy **out_policy, struct policy_error *out_error) MUST_USE;

size_t policy_name_count(const struct policy *policy);
struct policy_name policy_name_at(const struct policy *policy, size_t index);

/* Says what id a name means; the last word counts, until policy_compile(). */
void policy_pin(struct policy *policy, size_t index, uint32_t id);

/* The id it was pinned to; false if it was not. */
bool policy_pinned(const struct policy *policy, size_t index, uint32_t *out_id);

/*
 * Says later what has become of a name. While it is not POLICY_NAME_SAME, each allow and each
 * credential that has it matches nothing, whatever else it names; a deny stays by the pinned
 * id. Where the name service could not be asked, don't call.
 */
void policy_name_became(struct policy *policy, size_t index, enum policy_name_state state);

/*
 * Builds the indexes. MORTISE_REJECTED with out_error if a name was not pinned
 * ("...: no such user 'bacup'") or an allow turns out to be for nobody; MORTISE_BUSY without
 * memory. After this only policy_name_became() changes anything.
 */
enum mortise_status policy_compile(struct policy *policy, struct policy_error *out_error) MUST_USE;

/* How many rules. */
size_t policy_rule_count(const struct policy *policy);
/* How many of them need a caller's exe, for which the keeper needs CAP_SYS_PTRACE. */
size_t policy_exe_rule_count(const struct policy *policy);

/* An allow or credential that its names disabled. */
struct policy_disabled {
	const char *rule, *file;
	unsigned line;
	const struct policy_name *name; /* the first that is to blame */
	enum policy_name_state state;
};
typedef void policy_disabled_visit(void *context, const struct policy_disabled *disabled);
void policy_disabled(const struct policy *policy, policy_disabled_visit *visit, void *context);

/*
 * Which facts (bits 1 << ATTRIBUTE_UNIT, ...EXE, ...LABEL, ...SOCKET) have to be gathered
 * before any decision about the subject, given uid, groups and what it has already: only
 * those that a rule asks for which may still concern it. Gather them and ask again, until 0:
 * a unit that no rule names saves the look at exe.
 */
unsigned policy_needs(const struct policy *policy, const struct subject *subject);

/*
 * Pure. path is valid, or NULL for what concerns no secret. The cost depends on the rules
 * that name the subject or no one, not on all rules. now is in seconds since 1970, or
 * POLICY_TIME_UNKNOWN. What was not gathered cannot be had: it matches each deny and no allow; so
 * do missing groups, and hours, days and an expiry at an unknown time. The overflow uid (65534) is
 * allowed nothing. Of several denies the first in the text is named; of several allows one without
 * rate, or else the one with the highest.
 */
struct decision policy_decide(const struct policy *policy, const struct subject *subject,
	enum verb verb, const char *path, time_t now);

/*
 * May the service manager have credential id for a unit? subject is the manager as the kernel
 * describes it, but for its unit: that is the one it asks for, a fact of one name. Allowed if
 * a [credential] has that id, unit and user (0 where it names none) and no deny of reading
 * concerns the subject; then *out_path is its secret, the policy's.
 */
struct decision policy_credential(const struct policy *policy, const struct subject *subject,
	const char *id, time_t now, const char **out_path);

/* A [credential], as it stands there. False: there are no more. */
struct policy_credential_section {
	const char *title, *path;
};
bool policy_credential_section(
	const struct policy *policy, size_t index, struct policy_credential_section *out_section);

/* A [quota], or, last, the one of users whom no other names, which each policy has. */
struct policy_quota {
	const char *title;
	bool is_each_users;             /* what each has made counts for himself alone */
	bool is_default;                /* not said in any file: administrators are free of it */
	uint64_t size_max, secrets_max; /* bytes, secrets; 0: no bound */
};
/* At least 1, at most POLICY_QUOTAS_MAX + 1. */
size_t policy_quota_count(const struct policy *policy);
#define POLICY_QUOTA_DEFAULT         "default"
#define POLICY_QUOTA_DEFAULT_SIZE    67108864
#define POLICY_QUOTA_DEFAULT_SECRETS 10000
struct policy_quota policy_quota_at(const struct policy *policy, size_t index);
/* Does what uid makes at path count for it? */
bool policy_quota_counts(const struct policy *policy, size_t index, uint32_t uid, const char *path);

/*
 * Is there an allow of verb at all, for whatever path, among the rules that may concern this
 * subject? False is for certain; true need not hold for any path.
 */
bool policy_may_ever(const struct policy *policy, const struct subject *subject, enum verb verb);

/* NULL is allowed. */
void policy_free(struct policy *policy);

#endif
