/* SPDX-License-Identifier: ISC */
/* policy_grants: the pages of POLICY_WHO and POLICY_MAY, gathered into one list. */
#ifndef MORTISE_CLI_POLICY_GRANTS_H
#define MORTISE_CLI_POLICY_GRANTS_H

#include <jansson.h>

#include "cli.h"

struct policy_grant {
	bool is_deny, is_credential;
	char *who, *verbs, *secrets, *conditions, *rule; /* "" for none; lists by blanks */
	char *members; /* of a group, as this host knows it; NULL: not asked, or no group */
};

struct policy_grants {
	struct policy_grant *list;
	size_t count;
	char about[WIRE_TEXT_MAX]; /* whom POLICY_MAY is about */
	uint8_t cursor[64];
	size_t cursor_size; /* 0: there is no more */
};

/*
 * Sends the request that was begun and adds its page. A malformed one, or one for which memory
 * is short, is MORTISE_IO.
 */
enum mortise_status policy_grants_call(struct cli *cli, struct policy_grants *grants) MUST_USE;

/* All pages of POLICY_WHO; path and verb may be NULL. Needs the verb admin. */
enum mortise_status policy_grants_who(
	struct cli *cli, const char *path, const char *verb, struct policy_grants *grants) MUST_USE;

void policy_grants_drop(struct policy_grants *grants);

/* Asks this host's name service who is in the groups. */
void policy_grants_find_members(struct policy_grants *grants);

enum policy_grants_table {
	POLICY_GRANTS_WHO, /* to whom, without secrets */
	POLICY_GRANTS_MAY, /* secrets, without to whom */
};

/* Prints a line for each, behind indent. An exit status. */
int policy_grants_print(const struct cli *cli, const struct policy_grants *grants,
	enum policy_grants_table table, const char *indent);

/* [{"who": ..., "rule": ...}, ...] */
json_t *policy_grants_array(const struct policy_grants *grants);

/* Prints {"KEY": ABOUT, "grants": [...]}; about may be NULL. An exit status. */
int policy_grants_json(const struct policy_grants *grants, const char *key, const char *about);

/* Whom `policy check` and `policy may` ask about: options, and their fields. */

struct policy_caller {
	const struct cli *cli;
	char groups[WIRE_TEXT_MAX]; /* by blanks; "": not said */
};

/* What can be said of a caller: its field, and the option of both commands. */
/* clang-format off */
#define POLICY_CALLER_FACTS(EACH) \
	EACH(USER, "user", 'u', "U", "for this user, by name or number, not for you") \
	EACH(GROUP, "group", 'g', "G", "in this group (repeatable), not in the user's own") \
	EACH(UNIT, "unit", 0, "UNIT", "in this systemd unit; its slices may follow by blanks") \
	EACH(EXE, "exe", 0, "PROGRAM", "running this program") \
	EACH(LABEL, "label", 0, "LABEL", "with this SELinux label or type, or AppArmor profile") \
	EACH(NAME, "listener", 0, "NAME", "at this [socket NAME], not at the main one")

#define POLICY_CALLER_OPTION(tag, name, letter, argument, help) {name, letter, argument, help},
/* The last options of a command. */
#define POLICY_CALLER_OPTIONS POLICY_CALLER_FACTS(POLICY_CALLER_OPTION) {0}
/* clang-format on */

/* CLI_DONE, or CLI_USAGE after saying what is wrong. */
int policy_caller_read(const struct cli *cli, struct policy_caller *out_caller);

/* Puts what has a tag above `above` and below `below`: fields ascend, and a command has its own. */
void policy_caller_put(struct wire_writer *writer, const struct policy_caller *caller,
	unsigned above, unsigned below);

#endif
