/* SPDX-License-Identifier: ISC */
/* policy_match: whether a rule's conditions hold for a question. Private to this folder. */
#ifndef MORTISE_POLICY_MATCH_H
#define MORTISE_POLICY_MATCH_H

#include "policy_rules.h"

struct question {
	const struct subject *subject;
	enum verb verb;
	const char *path;
	struct clock clock;
};

enum holding { HOLDS, FAILS, UNKNOWN };

/* UNKNOWN where the subject's ids or facts do not say, or the time is not known. */
enum holding condition_holds(
	const struct rule *rule, const struct condition *condition, struct question *question);

/* All conditions hold, and a deny's may be unknown. Names do not matter. */
bool rule_matches(const struct rule *rule, struct question *question);

bool texts_match_path(const struct condition *condition, const char *path);

#endif
