/* SPDX-License-Identifier: ISC */
#include "ask.h"

#include <stdio.h>
#include <string.h>

#include "caller.h"
#include "output.h"
#include "when.h"

static int fail_denied(const struct cli *cli, const char *subject)
{
	struct caller caller = caller_find();
	bool is_path = subject != NULL && ask_looks_like_path(subject);

	return output_fail(cli, MORTISE_DENIED,
		"%s: denied, or no such secret for you (%s); an admin can run: "
		"mortise policy check --user=%s %s%s%s",
		subject != NULL ? subject : cli->command->name, caller.text, caller.user,
		cli->command->verb, is_path ? " " : "", is_path ? subject : "");
}

/* What to do next, where the agent's own text does not say it. */
static const char *next_step(
	const struct cli *cli, enum mortise_status status, const char *subject, const char *text)
{
	if (strstr(text, "; ") != NULL)
		return "";
	if (status == MORTISE_INVALID && subject != NULL && !ask_looks_like_path(subject))
		return "; a path is 1 to 8 parts of a-z 0-9 . _ - joined by '/', like "
		       "prod/db/password";
	if (status == MORTISE_NOT_FOUND)
		return "; see: mortise list -r";
	if (status == MORTISE_SEALED)
		return "; an admin can run: mortise status, mortise unseal; --wait=S waits for it";
	if (status == MORTISE_BUSY)
		return "; try again, or let --wait=S do that";
	if (status == MORTISE_UNREACHABLE && cli->agent->fault == CLIENT_FAULT_ABSENT)
		return "; is mortised running? --wait=S waits for it";
	return "";
}

int ask_fail(const struct cli *cli, enum mortise_status status, const char *subject)
{
	const char *text = mortise_message(cli->agent);
	bool is_about_agent = status == MORTISE_SEALED || status == MORTISE_UNREACHABLE;

	if (status == MORTISE_DENIED)
		return fail_denied(cli, subject);
	if (subject == NULL || is_about_agent)
		return output_fail(cli, status, "%s%s", text, next_step(cli, status, NULL, text));
	return output_fail(
		cli, status, "%s: %s%s", subject, text, next_step(cli, status, subject, text));
}

int ask_fail_malformed(const struct cli *cli)
{
	return output_fail(cli, MORTISE_IO,
		"the agent's reply is malformed; is it of another version of mortise?");
}

bool ask_looks_like_path(const char *text)
{
	int segments = 0;

	if (strlen(text) > MORTISE_PATH_MAX)
		return false;
	for (;;) {
		size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-");

		if (size == 0 || strchr("._-", text[0]) != NULL || ++segments > 8)
			return false;
		text += size;
		if (*text == '\0')
			return true;
		if (*text++ != '/')
			return false;
	}
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

uint64_t ask_number(const struct wire_message *reply, enum wire_tag tag, uint64_t fallback)
{
	uint64_t number = fallback;

	if (wire_number(reply, tag, &number) != MORTISE_OK)
		return fallback;
	return number;
}

bool ask_flag(const struct wire_message *reply, enum wire_tag tag)
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
				: output_json_text(text, strlen(text));
		if (json_object_set_new(object, name, value) != 0)
			return false;
	}
	return wire_list_is_whole(&facts);
}
