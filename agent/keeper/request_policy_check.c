/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "exchange.h"
#include "processes.h"

/* `policy check` for somebody else: the names are being asked for. */
struct checking {
	struct pending *pending;
	enum verb verb;
	char path[MORTISE_PATH_MAX + 1];
	char user[64], group[64];
	uint32_t uid; /* of the caller, where no user is named */
	uint32_t *groups;
	size_t group_count;
};

static void checking_free(void *context)
{
	struct checking *checking = context;

	free(checking->groups);
	free(checking);
}

struct verdict {
	struct decision decision;
	char text[512];
};

static void put_verdict(struct wire_writer *reply, const void *context)
{
	const struct verdict *verdict = context;

	wire_put_text(reply, WIRE_TAG_TEXT, verdict->text);
	wire_put_number(reply, WIRE_TAG_NUMBER, verdict->decision.allowed);
	if (verdict->decision.rule)
		wire_put_text(reply, WIRE_TAG_RULE, verdict->decision.rule);
}

/* Who names nobody asks about himself, as the kernel describes him; others are taken to be at main.
 */
static void judge(
	const struct checking *checking, const struct exchange *asked, struct verdict *verdict)
{
	const char *path = checking->path[0] ? checking->path : NULL;
	const struct subject supposed = {.uid = checking->uid,
		.groups = checking->groups,
		.group_count = checking->group_count,
		.socket = {FACT_KNOWN, SUBJECT_SOCKET_MAIN}};
	const struct subject *subject = asked->from ? &asked->from->caller.subject : &supposed;

	verdict->decision = policy_decide(asked->agent->policy, subject, checking->verb, path,
		(time_t)(asked->now_us / 1000000));
	char who[96];
	if (checking->user[0])
		snprintf(who, sizeof who, "%s (uid %u)", checking->user, checking->uid);
	else
		snprintf(who, sizeof who, "uid %u", checking->uid);
	snprintf(verdict->text, sizeof verdict->text, "%s %s %s%s%s: %s%s", who,
		verdict->decision.allowed ? "may" : "may not", verb_name(checking->verb),
		path ? " " : "", path ? path : "",
		verdict->decision.rule ? "rule " : "no rule allows it",
		verdict->decision.rule ? verdict->decision.rule : "");
}

static enum mortise_status add_groups(struct checking *checking, const struct wire_field *ids)
{
	size_t count = ids->size / sizeof(uint32_t);
	void *groups = reallocarray(
		checking->groups, checking->group_count + count + 1, sizeof *checking->groups);

	if (!groups)
		return MORTISE_BUSY;
	checking->groups = groups;
	for (size_t i = 0; i < count; i++) {
		const uint8_t *at = ids->bytes + i * sizeof(uint32_t);
		checking->groups[checking->group_count++] = (uint32_t)at[0] | (uint32_t)at[1] << 8 |
							    (uint32_t)at[2] << 16 |
							    (uint32_t)at[3] << 24;
	}
	return MORTISE_OK;
}

/* One looked-up name: a user's id and groups, or a group's id. */
static enum mortise_status take_name(
	struct checking *checking, struct wire_list *list, bool is_user)
{
	struct wire_message fields;
	struct wire_field item;
	uint64_t status = MORTISE_IO, id = 0;

	if (!wire_list_next(list, &item) ||
		wire_parse_fields(item.bytes, item.size, &fields) != MORTISE_OK ||
		wire_number(&fields, WIRE_TAG_STATUS, &status) != MORTISE_OK)
		return MORTISE_IO;
	if (status != MORTISE_OK)
		return status == MORTISE_NOT_FOUND ? MORTISE_NOT_FOUND : MORTISE_IO;
	if (wire_number(&fields, WIRE_TAG_NUMBER, &id) != MORTISE_OK || id > UINT32_MAX)
		return MORTISE_IO;
	TRY(add_groups(checking, &fields.field[WIRE_TAG_IDS]));
	if (is_user)
		checking->uid = (uint32_t)id;
	else
		checking->groups[checking->group_count++] = (uint32_t)id;
	return MORTISE_OK;
}

static void on_checked_names(void *context, const struct wire_message *answer, int descriptor)
{
	struct checking *checking = context;
	struct pending *pending = checking->pending;
	struct exchange asked = {.agent = pending->agent};
	struct verdict verdict = {0};
	struct wire_list list = {NULL, NULL};
	enum mortise_status status = MORTISE_IO;
	bool in_group = false;

	(void)descriptor;
	if (answer && answer->code == MORTISE_OK) {
		list = wire_list_of(answer, WIRE_TAG_ITEMS);
		status = checking->user[0] ? take_name(checking, &list, true) : MORTISE_OK;
		in_group = status == MORTISE_OK && checking->group[0];
		if (in_group)
			status = take_name(checking, &list, false);
	}
	if (status == MORTISE_OK && !pending->agent->policy)
		status = MORTISE_SEALED;
	if (status == MORTISE_OK) {
		asked.now_us = (uint64_t)time(NULL) * 1000000;
		judge(checking, &asked, &verdict);
	}
	char text[192] = "";
	if (status == MORTISE_NOT_FOUND)
		snprintf(text, sizeof text, "this host has no such %s: '%s'",
			in_group ? "group" : "user", in_group ? checking->group : checking->user);
	pending_finish(pending, status == MORTISE_NOT_FOUND ? MORTISE_INVALID : status, text,
		put_verdict, &verdict);
}

static enum mortise_status ask_for(struct exchange *exchange, struct checking *checking)
{
	struct monitor_link *monitor = exchange->agent->monitor;

	TRY(pending_new(exchange, checking, checking_free, &checking->pending));
	struct wire_writer *writer = monitor_begin(monitor, PROCESS_RESOLVE);
	size_t list = wire_list_begin(writer, WIRE_TAG_USERS);
	if (checking->user[0])
		wire_item_put(writer, checking->user, strlen(checking->user));
	wire_list_end(writer, list);
	list = wire_list_begin(writer, WIRE_TAG_GROUPS);
	if (checking->group[0])
		wire_item_put(writer, checking->group, strlen(checking->group));
	wire_list_end(writer, list);
	return monitor_ask(monitor, on_checked_names, checking);
}

static enum mortise_status read_checking(struct exchange *exchange, struct checking *checking)
{
	const struct wire_message *request = exchange->request;
	const struct subject *subject = &exchange->from->caller.subject;
	char verb[16];

	if (wire_text(request, WIRE_TAG_VERB, verb, sizeof verb) != MORTISE_OK ||
		!(checking->verb = verb_of_name(verb)))
		return exchange_fail(exchange, MORTISE_INVALID,
			"a verb is read, list, write, delete, rotate, audit or admin");
	if ((wire_has(request, WIRE_TAG_USER) &&
		    wire_text(request, WIRE_TAG_USER, checking->user, sizeof checking->user)) ||
		(wire_has(request, WIRE_TAG_GROUP) &&
			wire_text(
				request, WIRE_TAG_GROUP, checking->group, sizeof checking->group)))
		return exchange_fail(exchange, MORTISE_INVALID, "not a user's or group's name");
	memcpy(checking->path, exchange->path, sizeof checking->path);
	checking->uid = subject->uid;
	if (checking->user[0])
		return MORTISE_OK;
	checking->groups = calloc(subject->group_count + 2, sizeof *checking->groups);
	if (!checking->groups)
		return MORTISE_BUSY;
	memcpy(checking->groups, subject->groups, subject->group_count * sizeof *checking->groups);
	checking->group_count = subject->group_count;
	return MORTISE_OK;
}

enum mortise_status request_policy_check(struct exchange *exchange)
{
	struct checking *checking = calloc(1, sizeof *checking);
	struct verdict verdict = {0};

	if (!checking)
		return MORTISE_BUSY;
	enum mortise_status status = read_checking(exchange, checking);
	if (status == MORTISE_OK && (checking->user[0] || checking->group[0])) {
		status = ask_for(exchange, checking);
		if (status == MORTISE_OK)
			return MORTISE_OK;
		if (exchange->is_pending) {
			pending_abandon(exchange, checking->pending);
			return status;
		}
	} else if (status == MORTISE_OK) {
		judge(checking, exchange, &verdict);
		put_verdict(exchange->reply, &verdict);
	}
	checking_free(checking);
	return status;
}
