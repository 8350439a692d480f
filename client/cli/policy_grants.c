/* SPDX-License-Identifier: ISC */
#include "policy_grants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "ask.h"
#include "output.h"

void policy_grants_drop(struct policy_grants *grants)
{
	for (size_t i = 0; i < grants->count; i++) {
		struct policy_grant *grant = &grants->list[i];

		free(grant->who);
		free(grant->verbs);
		free(grant->secrets);
		free(grant->conditions);
		free(grant->rule);
		free(grant->members);
	}
	free(grants->list);
}

static char *copy_text(const struct wire_message *item, enum wire_tag tag)
{
	char text[WIRE_TEXT_MAX] = "";

	if (wire_has(item, tag) && wire_text(item, tag, text, sizeof text) != MORTISE_OK)
		return NULL;
	return strdup(text);
}

/* The patterns by blanks. */
static char *join_secrets(const struct wire_message *item)
{
	struct wire_list list = wire_list_of(item, WIRE_TAG_PATHS);
	char *text = calloc(1, item->field[WIRE_TAG_PATHS].size + 1);
	struct wire_field pattern;
	size_t used = 0;

	while (text != NULL && wire_list_next(&list, &pattern)) {
		if (used > 0)
			text[used++] = ' ';
		memcpy(text + used, pattern.bytes, pattern.size);
		used += pattern.size;
	}
	return text;
}

static bool read_grant(const struct wire_message *item, struct policy_grant *grant)
{
	*grant = (struct policy_grant){
		.is_deny = ask_number(item, WIRE_TAG_STATUS, MORTISE_OK) != MORTISE_OK,
		.is_credential = ask_number(item, WIRE_TAG_NUMBER, 0) == 1,
		.who = copy_text(item, WIRE_TAG_NAME),
		.verbs = copy_text(item, WIRE_TAG_VERB),
		.secrets = join_secrets(item),
		.conditions = copy_text(item, WIRE_TAG_TEXT),
		.rule = copy_text(item, WIRE_TAG_RULE),
	};
	return grant->who && grant->verbs && grant->secrets && grant->conditions && grant->rule;
}

static bool grow(struct policy_grants *grants)
{
	size_t capacity = grants->capacity == 0 ? 64 : grants->capacity * 2;
	struct policy_grant *list;

	if (grants->count < grants->capacity)
		return true;
	list = reallocarray(grants->list, capacity, sizeof *list);
	if (list == NULL)
		return false;
	grants->list = list;
	grants->capacity = capacity;
	return true;
}

/* False if it is malformed, or memory is short. */
static bool add_page(struct policy_grants *grants, const struct wire_message *reply)
{
	struct wire_list items = wire_list_of(reply, WIRE_TAG_ITEMS);
	const struct wire_field *cursor = &reply->field[WIRE_TAG_CURSOR];
	struct wire_message item;

	while (ask_next(&items, &item)) {
		if (!grow(grants))
			return false;
		if (!read_grant(&item, &grants->list[grants->count++]))
			return false;
	}
	if (wire_has(reply, WIRE_TAG_TEXT) &&
		wire_text(reply, WIRE_TAG_TEXT, grants->about, sizeof grants->about) != MORTISE_OK)
		return false;
	grants->cursor_size = ask_flag(reply, WIRE_TAG_MORE) ? cursor->size : 0;
	if (!wire_list_is_whole(&items) || grants->cursor_size > sizeof grants->cursor ||
		(ask_flag(reply, WIRE_TAG_MORE) && cursor->size == 0))
		return false;
	if (grants->cursor_size > 0)
		memcpy(grants->cursor, cursor->bytes, cursor->size);
	return true;
}

enum mortise_status policy_grants_call(struct cli *cli, struct policy_grants *grants)
{
	struct wire_message reply;

	TRY(client_call(cli->agent, &reply));
	return add_page(grants, &reply) ? MORTISE_OK
					: client_fail(cli->agent, MORTISE_IO, "%s", ask_malformed);
}

enum mortise_status policy_grants_who(
	struct cli *cli, const char *path, const char *verb, struct policy_grants *grants)
{
	do {
		struct wire_writer *writer = client_begin(cli->agent, WIRE_POLICY_WHO);

		if (path != NULL)
			wire_put_text(writer, WIRE_TAG_PATH, path);
		if (grants->cursor_size > 0)
			wire_put(writer, WIRE_TAG_CURSOR, grants->cursor, grants->cursor_size);
		if (verb != NULL)
			wire_put_text(writer, WIRE_TAG_VERB, verb);
		TRY(policy_grants_call(cli, grants));
	} while (grants->cursor_size > 0);
	return MORTISE_OK;
}

/* Its entry's members, and those whose first group it is, as far as they can be listed. */
static char *find_members(const char *who)
{
	const struct group *entry = NULL;
	char *text = NULL;
	size_t size = 0;
	const char *gap = "";
	FILE *file;

	if (strncmp(who, "group ", 6) == 0)
		entry = accounts_group(who + 6);
	else if (strncmp(who, "gid ", 4) == 0)
		entry = accounts_group_of((gid_t)strtoul(who + 4, NULL, 10));
	if (entry == NULL || (file = open_memstream(&text, &size)) == NULL)
		return NULL;
	for (char **member = entry->gr_mem; *member != NULL; member++, gap = " ")
		(void)fprintf(file, "%s%s", gap, *member);
	accounts_begin();
	for (const struct passwd *user; (user = accounts_next_user()) != NULL;)
		if (user->pw_gid == entry->gr_gid) {
			(void)fprintf(file, "%s%s", gap, user->pw_name);
			gap = " ";
		}
	accounts_end();
	if (fclose(file) == 0)
		return text;
	free(text);
	return NULL;
}

/* Words by blanks as a JSON array. */
static json_t *split(const char *text)
{
	json_t *array = json_array();

	while (*text != '\0') {
		size_t size = strcspn(text, " ");

		(void)json_array_append_new(array, output_json_shown(text, size));
		text += size + (text[size] == ' ');
	}
	return array;
}

json_t *policy_grants_array(const struct policy_grants *grants)
{
	json_t *array = json_array();

	for (size_t i = 0; i < grants->count; i++) {
		const struct policy_grant *grant = &grants->list[i];
		json_t *object = json_pack("{s:o, s:b, s:o, s:o, s:o, s:s, s:o}", "who",
			output_json_said(grant->who), "denied", grant->is_deny, "verbs",
			split(grant->verbs), "secrets", split(grant->secrets), "conditions",
			output_json_said(grant->conditions), "section",
			grant->is_credential ? "credential" : "rule", "rule",
			output_json_said(grant->rule));

		if (object != NULL && grant->members != NULL)
			(void)json_object_set_new(object, "members", split(grant->members));
		(void)json_array_append_new(array, object);
	}
	return array;
}

int policy_grants_json(const struct policy_grants *grants, const char *key, const char *about)
{
	return output_json(
		json_pack("{s:o?, s:o}", key, about != NULL ? output_json_said(about) : NULL,
			"grants", policy_grants_array(grants)));
}

void policy_grants_find_members(struct policy_grants *grants)
{
	for (size_t i = 0; i < grants->count; i++)
		grants->list[i].members = find_members(grants->list[i].who);
}
