/* SPDX-License-Identifier: ISC */
#include "request_policy_suppose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "processes.h"

static const struct {
	enum attribute attribute;
	enum wire_tag tag;
} facts[] = {
	{ATTRIBUTE_UNIT, WIRE_TAG_UNIT},
	{ATTRIBUTE_EXE, WIRE_TAG_EXE},
	{ATTRIBUTE_LABEL, WIRE_TAG_LABEL},
};

void suppose_done(struct supposed *supposed)
{
	for (size_t i = 0; i < ATTRIBUTE_COUNT; i++)
		free(supposed->facts[i]);
	free(supposed->groups);
}

void suppose_name(const struct supposed *supposed, char *out_text, size_t size)
{
	if (supposed->user[0])
		(void)snprintf(
			out_text, size, "%s (uid %u)", supposed->user, supposed->subject.uid);
	else
		(void)snprintf(out_text, size, "uid %u", supposed->subject.uid);
}

static struct fact *place_of(struct subject *subject, enum attribute attribute)
{
	switch (attribute) {
	case ATTRIBUTE_UNIT:
		return &subject->unit;
	case ATTRIBUTE_EXE:
		return &subject->exe;
	default:
		return &subject->label;
	}
}

static enum mortise_status keep_fact(
	struct supposed *supposed, enum attribute attribute, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return MORTISE_BUSY;
	free(supposed->facts[attribute]);
	supposed->facts[attribute] = copy;
	*place_of(&supposed->subject, attribute) = (struct fact){FACT_KNOWN, copy};
	return MORTISE_OK;
}

/* Is there a source for that fact about anybody? */
static bool can_be_had(const struct exchange *exchange, enum attribute attribute)
{
	if (attribute == ATTRIBUTE_EXE)
		return evidence_has_witness(exchange->agent->evidence);
	return attribute != ATTRIBUTE_LABEL || evidence_has_labels(&exchange->from->caller);
}

static enum mortise_status take_fact(struct exchange *exchange, struct supposed *supposed,
	enum attribute attribute, enum wire_tag tag)
{
	struct fact *place = place_of(&supposed->subject, attribute);
	char text[SUBJECT_NAMES_MAX], names[SUBJECT_NAMES_MAX];

	if (!wire_has(exchange->request, tag))
		return MORTISE_OK;
	if (exchange->request->field[tag].size >= sizeof text)
		return exchange_fail(exchange, MORTISE_INVALID, "%s: at most %zu bytes",
			attribute_name(attribute), sizeof text - 1);
	if (wire_text(exchange->request, tag, text, sizeof text) != MORTISE_OK)
		text[0] = '\0';
	if (strcmp(text, "?") == 0) {
		*place = (struct fact){FACT_UNKNOWN, NULL};
		return MORTISE_OK;
	}
	if (subject_suppose(attribute, text, names, sizeof names) != MORTISE_OK)
		return exchange_fail(exchange, MORTISE_INVALID,
			"no %s has that form; ? is one that cannot be had",
			attribute_name(attribute));
	if (!can_be_had(exchange, attribute))
		return MORTISE_OK;
	return keep_fact(supposed, attribute, names);
}

/* What is known of a fact that the request does not name. */
static enum mortise_status default_fact(
	struct exchange *exchange, struct supposed *supposed, enum attribute attribute)
{
	struct fact *place = place_of(&supposed->subject, attribute);
	const struct fact *own = subject_fact(&exchange->from->caller.subject, attribute);

	*place = (struct fact){FACT_UNKNOWN, NULL};
	if (supposed->leaves_ungathered)
		place->state = can_be_had(exchange, attribute) ? FACT_UNGATHERED : FACT_UNKNOWN;
	else if (supposed->user[0] && can_be_had(exchange, attribute))
		*place = (struct fact){FACT_KNOWN, SUBJECT_UNSAID};
	else if (!supposed->user[0] && own->state == FACT_KNOWN)
		return keep_fact(supposed, attribute, own->text);
	return MORTISE_OK;
}

static enum mortise_status take_facts(struct exchange *exchange, struct supposed *supposed)
{
	if (!supposed->user[0])
		evidence_gather(exchange->agent->evidence, &exchange->from->caller, SUBJECT_FACTS);
	for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
		TRY(default_fact(exchange, supposed, facts[i].attribute));
		TRY(take_fact(exchange, supposed, facts[i].attribute, facts[i].tag));
	}
	return MORTISE_OK;
}

/* Who names nobody stays at his own listener. */
static enum mortise_status take_socket(struct exchange *exchange, struct supposed *supposed)
{
	char name[PROCESS_NAME_MAX + 1] = SUBJECT_SOCKET_MAIN;
	const struct agent *agent = exchange->agent;
	bool is_said = wire_has(exchange->request, WIRE_TAG_NAME);

	if (is_said && wire_text(exchange->request, WIRE_TAG_NAME, name, sizeof name))
		name[0] = '\0';
	if (supposed->leaves_ungathered && !is_said)
		return MORTISE_OK;
	supposed->entrance = !is_said && !supposed->user[0]
				     ? exchange->from->entrance
				     : agent->find_entrance(agent->server, name);
	if (!supposed->entrance)
		return exchange_fail(exchange, MORTISE_INVALID, "no listener has that name%s%s",
			name[0] ? ": " : "", name);
	supposed->subject.socket = (struct fact){FACT_KNOWN, supposed->entrance->name};
	return MORTISE_OK;
}

/* Names and ids, by single blanks. */
static enum mortise_status take_group_names(struct exchange *exchange, struct supposed *supposed)
{
	size_t count = 0;

	if (!wire_has(exchange->request, WIRE_TAG_GROUP))
		return MORTISE_OK;
	if (wire_text(exchange->request, WIRE_TAG_GROUP, supposed->group_names,
		    sizeof supposed->group_names) != MORTISE_OK)
		return exchange_fail(exchange, MORTISE_INVALID, "not a group's name");
	for (const char *at = supposed->group_names; *at;) {
		size_t size = strcspn(at, " ");
		if (size == 0 || size > POLICY_NAME_MAX || (at[size] && !at[size + 1]))
			return exchange_fail(exchange, MORTISE_INVALID, "not a group's name");
		at += size + (at[size] == ' ');
		count++;
	}
	if (count == 0 || count > SUPPOSE_GROUPS_MAX)
		return exchange_fail(
			exchange, MORTISE_INVALID, "1 to %d groups", SUPPOSE_GROUPS_MAX);
	return MORTISE_OK;
}

static enum mortise_status take_groups(
	struct supposed *supposed, const uint8_t *ids, size_t count, size_t *have)
{
	uint32_t *groups =
		reallocarray(supposed->groups, *have + count + 1, sizeof *supposed->groups);

	if (!groups)
		return MORTISE_BUSY;
	supposed->groups = groups;
	for (size_t i = 0; i < count; i++, ids += sizeof(uint32_t))
		groups[(*have)++] = (uint32_t)ids[0] | (uint32_t)ids[1] << 8 |
				    (uint32_t)ids[2] << 16 | (uint32_t)ids[3] << 24;
	supposed->subject.groups = groups;
	supposed->subject.group_count = *have;
	return MORTISE_OK;
}

static enum mortise_status take_self(struct exchange *exchange, struct supposed *supposed)
{
	const struct subject *own = &exchange->from->caller.subject;

	supposed->subject.uid = own->uid;
	supposed->groups = calloc(own->group_count + 1, sizeof *supposed->groups);
	if (!supposed->groups)
		return MORTISE_BUSY;
	memcpy(supposed->groups, own->groups, own->group_count * sizeof *own->groups);
	supposed->subject.groups = supposed->groups;
	supposed->subject.group_count = own->group_count;
	return MORTISE_OK;
}

static enum mortise_status read_supposed(struct exchange *exchange, struct supposed *supposed)
{
	if (wire_has(exchange->request, WIRE_TAG_USER) &&
		(wire_text(exchange->request, WIRE_TAG_USER, supposed->user,
			 sizeof supposed->user) != MORTISE_OK ||
			!supposed->user[0]))
		return exchange_fail(exchange, MORTISE_INVALID, "not a user's name");
	TRY(take_group_names(exchange, supposed));
	TRY(take_self(exchange, supposed));
	TRY(take_socket(exchange, supposed));
	return take_facts(exchange, supposed);
}

/* The next looked-up name's item. */
static enum mortise_status next_name(
	struct wire_list *list, uint32_t *out_id, struct wire_message *out_fields)
{
	uint64_t status = MORTISE_IO, id = 0;
	struct wire_field item;

	if (!wire_list_next(list, &item) ||
		wire_parse_fields(item.bytes, item.size, out_fields) != MORTISE_OK ||
		wire_number(out_fields, WIRE_TAG_STATUS, &status) != MORTISE_OK)
		return MORTISE_IO;
	if (status != MORTISE_OK)
		return status == MORTISE_NOT_FOUND ? MORTISE_NOT_FOUND : MORTISE_IO;
	if (wire_number(out_fields, WIRE_TAG_NUMBER, &id) != MORTISE_OK || id > UINT32_MAX)
		return MORTISE_IO;
	*out_id = (uint32_t)id;
	return MORTISE_OK;
}

/* Groups that are named take the place of those that the user has. */
static enum mortise_status take_names(struct supposed *supposed, struct wire_list *list)
{
	struct wire_message fields;
	const char *missing = supposed->user, *kind = "user";
	enum mortise_status status = MORTISE_OK;
	size_t have = 0;
	uint32_t id = 0;

	if (supposed->user[0]) {
		status = next_name(list, &supposed->subject.uid, &fields);
		const struct wire_field *ids = &fields.field[WIRE_TAG_IDS];
		if (status == MORTISE_OK)
			TRY(take_groups(supposed, ids->bytes, ids->size / sizeof id, &have));
	}
	if (status == MORTISE_OK && supposed->group_names[0])
		have = 0;
	for (const char *at = supposed->group_names; *at && status == MORTISE_OK;) {
		missing = at;
		kind = "group";
		status = next_name(list, &id, &fields);
		const uint8_t bytes[] = {
			(uint8_t)id, (uint8_t)(id >> 8), (uint8_t)(id >> 16), (uint8_t)(id >> 24)};
		if (status == MORTISE_OK)
			TRY(take_groups(supposed, bytes, 1, &have));
		at += strcspn(at, " ");
		at += *at == ' ';
	}
	if (status == MORTISE_NOT_FOUND)
		(void)snprintf(supposed->text, sizeof supposed->text,
			"this host has no such %s: '%.*s'", kind, (int)strcspn(missing, " "),
			missing);
	return status == MORTISE_NOT_FOUND ? MORTISE_INVALID : status;
}

static void on_names(void *context, const struct wire_message *answer, int descriptor)
{
	struct supposed *supposed = context;
	struct pending *pending = supposed->pending;
	enum mortise_status status = MORTISE_IO;

	(void)descriptor;
	supposed->from = pending->from;
	supposed->now = clock_now();
	if (answer && answer->code == MORTISE_OK) {
		struct wire_list list = wire_list_of(answer, WIRE_TAG_ITEMS);
		status = take_names(supposed, &list);
	}
	if (status == MORTISE_OK)
		status = supposed->agent->policy ? supposed->judge(supposed) : MORTISE_SEALED;
	pending_finish(pending, status, supposed->text, supposed->put, supposed);
}

static enum mortise_status ask_names(struct exchange *exchange, struct supposed *supposed)
{
	struct monitor_link *monitor = exchange->agent->monitor;

	TRY(pending_new(exchange, supposed, supposed->release, &supposed->pending));
	struct wire_writer *writer = monitor_begin(monitor, PROCESS_RESOLVE);
	size_t list = wire_list_begin(writer, WIRE_TAG_USERS);
	if (supposed->user[0])
		wire_item_put(writer, supposed->user, strlen(supposed->user));
	wire_list_end(writer, list);
	list = wire_list_begin(writer, WIRE_TAG_GROUPS);
	for (const char *at = supposed->group_names; *at; at += *at == ' ') {
		wire_item_put(writer, at, strcspn(at, " "));
		at += strcspn(at, " ");
	}
	wire_list_end(writer, list);
	return monitor_ask(monitor, MONITOR_ANSWER_LIMIT_S, on_names, supposed);
}

static enum mortise_status judge_now(struct exchange *exchange, struct supposed *supposed)
{
	enum mortise_status status = supposed->judge(supposed);

	if (status == MORTISE_OK)
		supposed->put(exchange->reply, supposed);
	else if (supposed->text[0])
		return exchange_fail(exchange, status, "%s", supposed->text);
	return status;
}

enum mortise_status suppose_start(struct exchange *exchange, struct supposed *supposed)
{
	enum mortise_status status = read_supposed(exchange, supposed);

	supposed->agent = exchange->agent;
	supposed->from = exchange->from;
	supposed->operation = exchange->operation;
	supposed->now = exchange->now;
	if (status == MORTISE_OK && (supposed->user[0] || supposed->group_names[0])) {
		status = ask_names(exchange, supposed);
		if (status == MORTISE_OK)
			return MORTISE_OK;
		if (exchange->is_pending) {
			pending_abandon(exchange, supposed->pending);
			return status;
		}
	} else if (status == MORTISE_OK) {
		status = judge_now(exchange, supposed);
	}
	supposed->release(supposed);
	return status;
}
