/* SPDX-License-Identifier: ISC */
/*
 * policy_answers: what a compiled policy means, for those who write it: why a decision fell,
 * who may, what one may, what is odd, what changes. Pure, and in time with the policy's size.
 * Texts handed to visitors live until they return. MORTISE_BUSY without memory.
 */
#ifndef MORTISE_POLICY_ANSWERS_H
#define MORTISE_POLICY_ANSWERS_H

#include "policy.h"

#define POLICY_NEAR_MAX    3
#define POLICY_ADMINS_MAX  1000 /* tried by policy_has_admin() */
#define POLICY_CHANGES_MAX 1000 /* lines */
#define POLICY_WHY_SIZE    256

struct policy_near {
	const char *rule, *file;
	unsigned line;
	uint32_t number;           /* its place in the policy */
	unsigned failed;           /* bits 1 << ATTRIBUTE_...: which did not match */
	unsigned unknown;          /* those among them that could not be had */
	char why[POLICY_WHY_SIZE]; /* "unit is cron.service, not backup.service"; cut to size */
};

/* Why the id that stands for anyone from another user namespace is allowed nothing; what next. */
extern const char policy_nobody[];

struct policy_explanation {
	struct decision decision;
	const char *file; /* of the deciding rule; NULL: none */
	unsigned line;
	unsigned unknown; /* bits 1 << ATTRIBUTE_...: which matched a deny as they could not be had
			   */
	/*
	 * Where no rule decided: allows that match in all but one attribute (verb and name
	 * among them), in all but verb and secret, or at least in verb, secret, user and group;
	 * those with the fewest that failed first; user and secret count twice.
	 */
	struct policy_near near[POLICY_NEAR_MAX];
	size_t near_count;
	bool is_nobody; /* it is that id, and no rule can allow it */
};

void policy_explain(const struct policy *policy, const struct subject *subject, enum verb verb,
	const char *path, time_t now, struct policy_explanation *out_explanation);

/*
 * ", for exe cannot be had" or ", for the clock is not believed", where a deny decided by what is
 * unknown; else "".
 */
void policy_explain_unknown(
	const struct policy_explanation *explanation, char *out_text, size_t size);

/*
 * In words, cut to size: "rule 'a' (10-a.policy:3) allows it", "no rule allows it; nearest is
 * rule 'b' (10-a.policy:9): unit is cron.service, not backup.service".
 */
void policy_explain_text(const struct policy_explanation *explanation, char *out_text, size_t size);

/* What a rule gives to, or takes from, one of those it names. */
struct policy_grant {
	bool is_deny;
	const char *who;        /* "backup", "uid 7", "group dba", "unit a.service", "everybody" */
	const char *verbs;      /* "read list" */
	const char *secrets;    /* "prod/db/a prod/key"; "" where the rule has none */
	const char *conditions; /* "unit backup.service, hours 02:30-04:30, at most 20/h"; or "" */
	const char *rule, *file;
	unsigned line;
	/* By [credential RULE], which hands it to a unit; "LoadCredential=ID" ends the conditions.
	 */
	bool is_credential;
};
/* Takes a grant; false if it has no room for it: the answer ends before that grant. */
typedef bool policy_grant_visit(void *context, const struct policy_grant *grant);

/* The parts of an answer, one behind the other. */
enum policy_part {
	POLICY_ALLOWS,
	POLICY_CREDENTIALS,
	POLICY_DENIES,
};

/* Where a long answer goes on, in the same policy: zeros are its start. Any numbers are safe. */
struct policy_place {
	uint32_t rule, value;
	enum policy_part part;
};

/*
 * Everyone who may do some of verbs (bits), one grant for each user, or else group, unit, label
 * or socket of each rule, with the verbs that are left of them; then the units (or users) to
 * whom a credential hands it; then the denies that may take it from some of them under
 * conditions. Those from whom a deny takes it for certain are left
 * out, as are disabled and expired rules. Goes on from *place, and leaves there where the next
 * call does; *out_is_whole: there is no more. A call may end early, without a visit, if much
 * has to be compared.
 */
enum mortise_status policy_who(const struct policy *policy, unsigned verbs, const char *path,
	time_t now, struct policy_place *place, policy_grant_visit *visit, void *context,
	bool *out_is_whole) MUST_USE;

/*
 * All of verbs that a subject may: each allow that his ids and facts do not exclude (facts that
 * were not gathered are conditions), each credential of a unit that may be his, and each deny
 * that may cut into one of those. In parts, as policy_who().
 */
enum mortise_status policy_may(const struct policy *policy, const struct subject *subject,
	unsigned verbs, time_t now, struct policy_place *place, policy_grant_visit *visit,
	void *context, bool *out_is_whole) MUST_USE;

/*
 * Is there somebody who is an administrator at some time within a week from now? What groups
 * a user is in is not known here: a deny of his group may still lock him out. Tries the first
 * POLICY_ADMINS_MAX that are allowed it; out_is_whole: there were no more.
 */
bool policy_has_admin(const struct policy *policy, time_t now, bool *out_is_whole);

/* The last line, where not all are told. */
#define POLICY_NOT_COMPARED                                                                        \
	"there are too many rules to compare them all: there may be more changes"
#define POLICY_NOT_LISTED "and more changes than are listed here"

/* One line: "backup: may no longer read prod/db (unit backup.service)". */
typedef void policy_change_visit(void *context, const char *line);

/*
 * What one may or may not do, whatever the names of rules and their order. Not said is what
 * another rule grants, or takes, as before; where only a part is left of something, the whole
 * is told as lost and the part as new. After POLICY_CHANGES_MAX lines, or where it would take
 * too long, the last one says so.
 */
enum mortise_status policy_compare(const struct policy *before, const struct policy *after,
	policy_change_visit *visit, void *context) MUST_USE;

struct policy_warning {
	const char *file; /* "": the policy as a whole */
	unsigned line, column;
	const char *text;
};
typedef void policy_warning_visit(void *context, const struct policy_warning *warning);

struct policy_warning_options {
	time_t now;
	/* Is the program at this path a script? NULL: nobody looks at files. */
	bool (*is_script)(void *context, const char *exe);
	void *context;
};

/*
 * Rules that can never match or do nothing, those that others cover, programs that run
 * whatever they are told, hours that meet a change of the clocks within a year.
 */
enum mortise_status policy_warnings(const struct policy *policy,
	const struct policy_warning_options *options, policy_warning_visit *visit, void *context)
	MUST_USE;

#endif
