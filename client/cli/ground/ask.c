/* SPDX-License-Identifier: ISC */
#include "ask.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "accounts.h"
#include "args.h"
#include "output.h"
#include "path.h"
#include "when.h"

#define CGROUP_TEXT_SIZE 4096
#define OVERFLOW_ID      65534

static bool has_ending(const char *text, size_t size, const char *ending)
{
	size_t ending_size = strlen(ending);

	return size > ending_size && memcmp(text + size - ending_size, ending, ending_size) == 0;
}

/* The first part of the cgroup's path that is no slice. */
static void unit_of_path(const char *path, char *out_unit, size_t unit_size)
{
	while (*path == '/') {
		size_t size = strcspn(++path, "/\n");

		if (has_ending(path, size, ".service") || has_ending(path, size, ".scope")) {
			(void)snprintf(out_unit, unit_size, "%.*s", (int)size, path);
			return;
		}
		if (!has_ending(path, size, ".slice"))
			return;
		path += size;
	}
}

void caller_unit(const char *cgroup, char *out_unit, size_t unit_size)
{
	out_unit[0] = '\0';
	for (const char *line = cgroup; line && *line != '\0';) {
		const char *named = strstr(line, ":name=systemd:"), *end = strchr(line, '\n');

		if (strncmp(line, "0::", 3) == 0)
			unit_of_path(line + 3, out_unit, unit_size);
		else if (named && (!end || named < end))
			unit_of_path(named + 14, out_unit, unit_size);
		if (out_unit[0] != '\0')
			return;
		line = end ? end + 1 : NULL;
	}
}

static void read_cgroup(char text[CGROUP_TEXT_SIZE])
{
	int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd >= 0 ? read(fd, text, CGROUP_TEXT_SIZE - 1) : 0;

	text[got > 0 ? got : 0] = '\0';
	if (fd >= 0)
		(void)close(fd);
}

/* Is it a unit that a rule is likely to name? What a person at a terminal is in is none. */
static bool caller_is_telling(const char *units)
{
	return units[0] != '\0' && strncmp(units, "user@", 5) != 0 &&
	       strncmp(units, "session-", 8) != 0 && strncmp(units, "init.scope", 10) != 0;
}

struct caller caller_find(void)
{
	uid_t uid = geteuid();
	const struct passwd *entry = accounts_user_of(uid);
	char cgroup[CGROUP_TEXT_SIZE], unit[96];
	struct caller caller = {.is_nobody = uid == OVERFLOW_ID};

	read_cgroup(cgroup);
	caller_unit(cgroup, unit, sizeof unit);
	if (!caller_is_telling(unit))
		unit[0] = '\0';
	if (entry && strlen(entry->pw_name) < sizeof caller.user)
		(void)snprintf(caller.user, sizeof caller.user, "%s", entry->pw_name);
	else
		(void)snprintf(caller.user, sizeof caller.user, "%u", (unsigned)uid);
	(void)snprintf(caller.text, sizeof caller.text, "%s%suid %u%s%s", entry ? caller.user : "",
		entry ? ", " : "", (unsigned)uid, unit[0] != '\0' ? ", unit " : "", unit);
	return caller;
}

#define PLACE_DEADLINE_MS 1000

const char ask_malformed[] = "the agent's reply is malformed; is it of another version of mortise?";

/* --unit and --listener, as the agent sees this process; "" for what no rule is likely to name. */
static void describe_place(struct wire_list facts, char *options, size_t size)
{
	struct wire_message item;
	size_t used = 0;

	options[0] = '\0';
	while (ask_next(&facts, &item)) {
		char name[64], text[WIRE_TEXT_MAX];
		const char *option = NULL;

		if (wire_text(&item, WIRE_TAG_NAME, name, sizeof name) != MORTISE_OK ||
			wire_text(&item, WIRE_TAG_TEXT, text, sizeof text) != MORTISE_OK)
			continue;
		char *slices = strchr(text, ' ');
		if (slices && strcmp(slices, " system.slice") == 0)
			*slices = '\0';
		if (strcmp(name, "unit") == 0 && caller_is_telling(text))
			option = "unit";
		else if (strcmp(name, "socket") == 0 && strcmp(text, "main") != 0)
			option = "listener";
		if (option && !strchr(text, '\'') && used < size)
			used += (size_t)snprintf(options + used, size - used,
				strpbrk(text, " \\") ? " --%s='%s'" : " --%s=%s", option, text);
	}
	if (used >= size)
		options[0] = '\0';
}

static void find_place(const struct cli *cli, char *options, size_t size)
{
	struct wire_message reply;

	options[0] = '\0';
	mortise_set_deadline(cli->agent, PLACE_DEADLINE_MS, 0);
	(void)client_begin(cli->agent, WIRE_WHOAMI);
	if (client_call(cli->agent, &reply) == MORTISE_OK)
		describe_place(wire_list_of(&reply, WIRE_TAG_ITEMS), options, size);
}

/* Does a rule for the command name secrets? */
static bool is_about_secrets(const struct command *command)
{
	return command->verb && strcmp(command->verb, "admin") != 0 &&
	       strcmp(command->verb, "audit") != 0;
}

/* Why, the agent does not say; but who asked, and so what an admin can ask in his place. */
static int fail_denied(const struct cli *cli, const char *subject)
{
	const struct command *command = cli->command;
	struct caller caller = caller_find();
	bool is_path = subject && path_is_valid(subject, strlen(subject));
	const char *said = mortise_message(cli->agent);
	char place[512];

	if (caller.is_nobody)
		return output_fail(cli, MORTISE_DENIED,
			"%s: denied: uid 65534 (nobody) is never served, whatever the policy says; "
			"run "
			"it as a user of its own (User= of a unit)",
			subject ? subject : command->name);
	/* Not by the policy, and so none of its words. */
	if (!strstr(said, "denied") && strstr(said, "; "))
		return output_fail(
			cli, MORTISE_DENIED, "%s: %s", subject ? subject : command->name, said);
	if (!command->verb)
		return output_fail(cli, MORTISE_DENIED,
			"%s: denied: it is for root, the agent's user and its operators, and at "
			"the agent's own socket; you are %s",
			command->name, caller.text);
	find_place(cli, place, sizeof place);
	if (!is_about_secrets(command))
		return output_fail(cli, MORTISE_DENIED,
			"%s: denied: it needs the verb %s, and you are %s; an admin can run: "
			"mortise policy check --user=%s%s %s",
			command->name, command->verb, caller.text, caller.user, place,
			command->verb);
	return output_fail(cli, MORTISE_DENIED,
		"%s: denied, or no such secret for you (%s); an admin can run: "
		"mortise policy check --user=%s%s %s%s%s",
		subject ? subject : command->name, caller.text, caller.user, place, command->verb,
		is_path ? " " : "", is_path ? subject : "");
}

/* Where to look for what is not there. */
static void next_for_missing(const struct cli *cli, const char *subject, char *text, size_t size)
{
	const char *name = cli->command->name;

	if (!subject)
		(void)snprintf(text, size, "%s",
			strncmp(name, "policy", 6) == 0 ? "; see: mortise policy show" : "");
	else if (args_has(cli, "version") || args_has(cli, "label") || args_has(cli, "to"))
		(void)snprintf(text, size, "; see: mortise show %s", subject);
	else
		(void)snprintf(text, size, "; see: mortise list -r");
}

/* What to do next, where the agent's own text does not say it. */
static void next_step(const struct cli *cli, enum mortise_status status, const char *subject,
	char *text, size_t size)
{
	const char *said = mortise_message(cli->agent), *next = "";

	text[0] = '\0';
	if (strstr(said, "; "))
		return;
	if (status == MORTISE_NOT_FOUND)
		next_for_missing(cli, subject, text, size);
	else if (status == MORTISE_SEALED)
		next = "; an admin can run: mortise status, mortise unseal; --wait=S waits for it";
	else if (status == MORTISE_BUSY)
		next = "; try again, or let --wait=S do that";
	else if (status == MORTISE_UNREACHABLE && cli->agent->fault == CLIENT_FAULT_ABSENT)
		next = "; is mortised running? --wait=S waits for it";
	if (next[0] != '\0')
		(void)snprintf(text, size, "%s", next);
}

int ask_fail(const struct cli *cli, enum mortise_status status, const char *subject)
{
	const char *text = mortise_message(cli->agent);
	bool is_about_agent = status == MORTISE_SEALED || status == MORTISE_UNREACHABLE;
	char next[MORTISE_PATH_MAX + 64];

	if (status == MORTISE_DENIED)
		return fail_denied(cli, subject);
	next_step(cli, status, subject, next, sizeof next);
	if (!subject || is_about_agent)
		return output_fail(cli, status, "%s%s", text, next);
	return output_fail(cli, status, "%s: %s%s", subject, text, next);
}

int ask_fail_malformed(const struct cli *cli)
{
	return output_fail(cli, MORTISE_IO, "%s", ask_malformed);
}

enum mortise_status ask_fact(struct cli *cli, const char *name, char *buffer, size_t buffer_size)
{
	struct wire_message reply, item;
	struct wire_list facts;
	char fact[64];

	(void)client_begin(cli->agent, WIRE_STATUS);
	TRY(client_call(cli->agent, &reply));
	facts = wire_list_of(&reply, WIRE_TAG_ITEMS);
	while (ask_next(&facts, &item))
		if (wire_text(&item, WIRE_TAG_NAME, fact, sizeof fact) == MORTISE_OK &&
			strcmp(fact, name) == 0)
			return wire_text(&item, WIRE_TAG_TEXT, buffer, buffer_size);
	return client_fail(cli->agent, MORTISE_NOT_FOUND, "the agent's status has no %s", name);
}

int ask_expand(struct cli *cli, const char *given, struct ask_path *out_path)
{
	char environment[MORTISE_PATH_MAX + 1] = "";
	struct ask_path path = {""};

	if (given[0] == '@' && (given[1] == '/' || given[1] == '\0')) {
		enum mortise_status status =
			ask_fact(cli, "environment", environment, sizeof environment);

		if (status == MORTISE_NOT_FOUND || (status == MORTISE_OK && !environment[0]))
			return output_fail(cli, MORTISE_INVALID,
				"%s: no environment is configured; write the path in full", given);
		if (status != MORTISE_OK)
			return ask_fail(cli, status, NULL);
		given++;
	}
	(void)snprintf(path.text, sizeof path.text, "%s%s", environment, given);
	*out_path = path;
	return CLI_DONE;
}

uint64_t ask_number(const struct wire_message *reply, unsigned tag, uint64_t fallback)
{
	uint64_t number = fallback;

	if (wire_number(reply, tag, &number) != MORTISE_OK)
		return fallback;
	return number;
}

bool ask_flag(const struct wire_message *reply, unsigned tag)
{
	return ask_number(reply, tag, 0) != 0;
}

bool ask_next(struct wire_list *list, struct wire_message *out_item)
{
	struct wire_list ahead = *list;
	struct wire_field field;

	if (!wire_list_next(&ahead, &field) ||
		wire_parse_fields(field.bytes, field.size, out_item) != MORTISE_OK)
		return false;
	*list = ahead;
	return true;
}

/* A fact's name, and its value as a person reads it. */
static bool read_fact(const struct wire_message *item, char name[64], char text[WIRE_TEXT_MAX])
{
	if (wire_text(item, WIRE_TAG_NAME, name, 64) != MORTISE_OK)
		return false;
	if (wire_has(item, WIRE_TAG_TIME))
		when_format_local(ask_number(item, WIRE_TAG_TIME, 0), text);
	else if (wire_has(item, WIRE_TAG_NUMBER))
		(void)snprintf(text, WIRE_TEXT_MAX, "%llu",
			(unsigned long long)ask_number(item, WIRE_TAG_NUMBER, 0));
	else
		return wire_text(item, WIRE_TAG_TEXT, text, WIRE_TEXT_MAX) == MORTISE_OK;
	return true;
}

bool ask_print_facts(struct wire_list facts)
{
	char name[64], text[WIRE_TEXT_MAX];
	struct wire_message item;

	while (ask_next(&facts, &item)) {
		if (!read_fact(&item, name, text))
			return false;
		for (char *at = name; *at != '\0'; at++)
			if (*at == '_')
				*at = ' ';
		printf("%-20s ", name);
		output_text(text);
		(void)putchar('\n');
	}
	return wire_list_is_whole(&facts);
}

bool ask_put_facts(struct wire_list facts, json_t *object)
{
	char name[64], text[WIRE_TEXT_MAX];
	struct wire_message item;

	while (ask_next(&facts, &item)) {
		json_t *value;

		if (!read_fact(&item, name, text))
			return false;
		if (wire_has(&item, WIRE_TAG_TIME))
			when_format_utc(ask_number(&item, WIRE_TAG_TIME, 0), text);
		value = wire_has(&item, WIRE_TAG_NUMBER)
				? output_json_number(ask_number(&item, WIRE_TAG_NUMBER, 0))
				: output_json_said(text);
		if (json_object_set_new(object, name, value) != 0)
			return false;
	}
	return wire_list_is_whole(&facts);
}
