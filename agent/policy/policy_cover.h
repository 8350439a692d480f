/* SPDX-License-Identifier: ISC */
/*
 * policy_cover: what of a policy lies within what else of it. Private to this folder.
 * "Covers" is only said where it is certain.
 */
#ifndef MORTISE_POLICY_COVER_H
#define MORTISE_POLICY_COVER_H

#include "policy_rules.h"

/* Is each path that narrow matches matched by wide? Both of path.h. */
bool pattern_covers(const char *wide, const char *narrow);

/* May there be a path, or a unit's name, that both match? No only where there is none. */
bool patterns_meet(const char *a, const char *b);

/*
 * Does the condition hold whenever the other of the same kind does? A missing one (NULL) holds
 * always. Of days it is said as if there were no hours.
 */
bool condition_covers(const struct condition *wide, const struct condition *narrow);

/* Does wide hold for each question that narrow holds for? Whether they allow does not matter. */
bool rule_covers(const struct rule *wide, const struct rule *narrow);

/* Is wide used as often as narrow may be? */
bool rate_covers(const struct rule *wide, const struct rule *narrow);

/* Might both hold for one question, as far as ids, facts and paths tell? */
bool rules_meet(const struct rule *a, const struct rule *b);

#endif
