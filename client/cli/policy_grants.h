/* SPDX-License-Identifier: ISC */
/* policy_grants: the pages of POLICY_WHO and POLICY_MAY, gathered into one list. */
#ifndef MORTISE_CLI_POLICY_GRANTS_H
#define MORTISE_CLI_POLICY_GRANTS_H

#include "cli.h"

struct policy_grant {
	bool is_deny;
	char *who, *verbs, *secrets, *conditions, *rule; /* "" for none; lists by blanks */
	char *members; /* of a group, as this host knows it; NULL: not asked, or no group */
};

struct policy_grants {
	struct policy_grant *list;
	size_t count, capacity;
	char about[WIRE_TEXT_MAX]; /* whom POLICY_MAY is about */
	uint8_t cursor[64];
	size_t cursor_size; /* 0: there is no more */
};

/* Adds a page; false if it is malformed, or memory is short. */
bool policy_grants_add(struct policy_grants *grants, const struct wire_message *reply);
void policy_grants_drop(struct policy_grants *grants);

/* Asks this host's name service who is in the groups. */
void policy_grants_find_members(struct policy_grants *grants);

/* Prints {"KEY": ABOUT, "grants": [...]}; about may be NULL. An exit status. */
int policy_grants_json(const struct policy_grants *grants, const char *key, const char *about);

#endif
