/* SPDX-License-Identifier: ISC */
/* policy_credential: [credential] sections as a whole, and as rules. Private to this folder. */
#ifndef MORTISE_POLICY_CREDENTIAL_H
#define MORTISE_POLICY_CREDENTIAL_H

#include "policy_rules.h"
#include "policy_text.h"

/* MORTISE_REJECTED if two would answer for one id, unit and user: order means nothing. */
enum mortise_status credential_check_all(
	const struct policy *policy, struct policy_error *out_error) MUST_USE;

/*
 * The rule of a credential with all that it stands for: whose manager may ask (root's without
 * `user`), and at which listener. Denies that cut into it meet, or cover, that.
 */
void credential_in_full(const struct rule *rule, struct narrowed *out_full);

/* May a process of that subject be one that it is handed to? Only what is known excludes. */
bool credential_may_concern(const struct credential *credential, const struct subject *subject);

#endif
