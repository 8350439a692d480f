/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>

#include "exchange.h"
#include "path.h"

#define LIST_ENTRIES_MAX  256  /* in one frame */
#define LIST_EXAMINED_MAX 1024 /* rows looked at for one frame */

static enum mortise_status read_choice(struct exchange *exchange, struct vault_choice *choice)
{
	const struct wire_message *request = exchange->request;
	char label[16];

	*choice = (struct vault_choice){VAULT_CURRENT, 0};
	if (wire_has(request, WIRE_TAG_VERSION) && wire_has(request, WIRE_TAG_LABEL))
		return exchange_fail(exchange, MORTISE_INVALID, "a version or a label, not both");
	if (wire_has(request, WIRE_TAG_VERSION)) {
		choice->selector = VAULT_NUMBER;
		return wire_number(request, WIRE_TAG_VERSION, &choice->number);
	}
	if (!wire_has(request, WIRE_TAG_LABEL))
		return MORTISE_OK;
	if (wire_text(request, WIRE_TAG_LABEL, label, sizeof label) != MORTISE_OK ||
		(strcmp(label, "current") != 0 && strcmp(label, "previous") != 0))
		return exchange_fail(exchange, MORTISE_INVALID, "a label is current or previous");
	if (strcmp(label, "previous") == 0)
		choice->selector = VAULT_PREVIOUS;
	return MORTISE_OK;
}

/* One path of a get and what came of it, for the record. */
struct got {
	struct wire_field path; /* in the frame, valid */
	uint64_t version;
	const char *rule; /* the policy's */
	enum mortise_status status;
};

/*
 * The policy first, then the vault. What is put does not depend on whether a secret exists unless
 * the caller may read that path.
 */
static void get_one(struct exchange *exchange, const struct vault_choice *choice, struct got *got)
{
	CLEANUP(secret_drop) struct secret *value = NULL;
	char path[MORTISE_PATH_MAX + 1];

	memcpy(path, got->path.bytes, got->path.size);
	path[got->path.size] = '\0';
	struct decision decision = exchange_may(exchange, VERB_READ, path);
	got->rule = decision.rule;
	got->status = MORTISE_DENIED;
	if (decision.allowed)
		got->status = exchange_take(exchange, &decision);
	bool is_too_often = decision.allowed && got->status != MORTISE_OK;
	if (got->status == MORTISE_OK)
		got->status = vault_read(lifecycle_vault(exchange->agent->lifecycle), path, choice,
			&value, &got->version);
	size_t mark = wire_item_begin(exchange->reply);
	if (is_too_often) /* says when to try again */
		wire_put_text(exchange->reply, WIRE_TAG_TEXT, exchange->text);
	if (got->status == MORTISE_OK) {
		wire_put_number(exchange->reply, WIRE_TAG_VERSION, got->version);
		wire_put(exchange->reply, WIRE_TAG_VALUE, value->bytes, value->size);
	}
	wire_put_number(exchange->reply, WIRE_TAG_STATUS, got->status);
	wire_item_end(exchange->reply, mark);
}

static enum mortise_status read_paths(
	struct exchange *exchange, struct got gets[WIRE_BATCH_MAX], size_t *out_count)
{
	struct wire_list list = wire_list_of(exchange->request, WIRE_TAG_PATHS);
	char path[MORTISE_PATH_MAX + 1];
	struct wire_field item;
	size_t count = 0;

	for (; wire_list_next(&list, &item); count++) {
		if (count == WIRE_BATCH_MAX)
			return exchange_fail(exchange, MORTISE_INVALID,
				"at most %d paths in one request", WIRE_BATCH_MAX);
		TRY(exchange_path(exchange, &item, path));
		gets[count] = (struct got){.path = item};
	}
	if (!wire_list_is_whole(&list) || count == 0)
		return exchange_fail(exchange, MORTISE_INVALID, "the request names no path");
	*out_count = count;
	return MORTISE_OK;
}

/* A line for each path. Where the answer fits no frame, nothing was released. */
static enum mortise_status record_gets(
	struct exchange *exchange, const struct got *gets, size_t count)
{
	bool fits = !exchange->reply->failed;

	for (size_t i = 0; i < count; i++)
		exchange_record(exchange, (const char *)gets[i].path.bytes, gets[i].path.size,
			fits ? gets[i].version : 0, gets[i].rule,
			fits ? gets[i].status : MORTISE_INVALID);
	exchange->is_silent = true;
	if (!fits)
		return exchange_fail(exchange, MORTISE_INVALID,
			"the answer is larger than a frame; ask for fewer at once");
	return MORTISE_OK;
}

enum mortise_status request_get(struct exchange *exchange)
{
	struct got gets[WIRE_BATCH_MAX];
	struct vault_choice choice;
	size_t count = 0;

	TRY(read_choice(exchange, &choice));
	TRY(read_paths(exchange, gets, &count));
	size_t mark = wire_list_begin(exchange->reply, WIRE_TAG_ITEMS);
	for (size_t i = 0; i < count; i++)
		get_one(exchange, &choice, &gets[i]);
	wire_list_end(exchange->reply, mark);
	return record_gets(exchange, gets, count);
}

static enum mortise_status read_write(struct exchange *exchange, struct vault_write *write)
{
	const struct wire_message *request = exchange->request;
	const struct wire_field *value = &request->field[WIRE_TAG_VALUE];
	const struct wire_field *token = &request->field[WIRE_TAG_TOKEN];

	if (!value->bytes || value->size > MORTISE_VALUE_MAX)
		return exchange_fail(
			exchange, MORTISE_INVALID, "a value is 0 to %d bytes", MORTISE_VALUE_MAX);
	if (token->size != WIRE_TOKEN_SIZE)
		return exchange_fail(exchange, MORTISE_INVALID,
			"a write needs a token of %d random bytes", WIRE_TOKEN_SIZE);
	*write = (struct vault_write){
		.path = exchange->path,
		.value = value->bytes,
		.size = value->size,
		.has_expected_version = wire_has(request, WIRE_TAG_EXPECT),
		.uid = exchange->from->caller.subject.uid,
		.time_us = exchange->now_us,
	};
	memcpy(write->token, token->bytes, WIRE_TOKEN_SIZE);
	if (write->has_expected_version)
		TRY(wire_number(request, WIRE_TAG_EXPECT, &write->expected_version));
	TRY(exchange_flag(exchange, WIRE_TAG_IF_CHANGED, &write->only_if_changed));
	return exchange_flag(exchange, WIRE_TAG_DRY_RUN, &write->is_dry_run);
}

static void put_outcome(struct exchange *exchange, const struct vault_outcome *outcome)
{
	exchange->version = outcome->version;
	wire_put_number(exchange->reply, WIRE_TAG_VERSION, outcome->version);
	wire_put_number(exchange->reply, WIRE_TAG_CHANGED, outcome->changed);
}

/* A missing secret, told to somebody who may ask. */
static enum mortise_status explain(struct exchange *exchange, enum mortise_status status)
{
	if (status == MORTISE_NOT_FOUND)
		return exchange_fail(exchange, status, "no such secret");
	if (status == MORTISE_IO)
		return exchange_fail(exchange, status,
			"the store could not be written; is the disk full or failing?");
	return status;
}

enum mortise_status request_set(struct exchange *exchange)
{
	struct vault_outcome outcome;
	struct vault_write write;

	TRY(read_write(exchange, &write));
	/* The answer says whether the value is this one: only who may read it is told. */
	if (write.only_if_changed && !exchange_may(exchange, VERB_READ, exchange->path).allowed)
		return exchange_deny(exchange);
	enum mortise_status status =
		vault_write(lifecycle_vault(exchange->agent->lifecycle), &write, &outcome);
	if (status == MORTISE_CONFLICT)
		return exchange_fail(exchange, status,
			"the current version is not %llu; look at it and try again",
			(unsigned long long)write.expected_version);
	TRY(explain(exchange, status));
	put_outcome(exchange, &outcome);
	return MORTISE_OK;
}

static enum mortise_status set_deleted(struct exchange *exchange, bool is_deleted)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	struct vault_outcome outcome;
	bool is_dry_run = false;

	TRY(exchange_flag(exchange, WIRE_TAG_DRY_RUN, &is_dry_run));
	TRY(explain(exchange, vault_set_deleted(vault, exchange->path, is_deleted, is_dry_run,
				      exchange->now_us, &outcome)));
	put_outcome(exchange, &outcome);
	return MORTISE_OK;
}

enum mortise_status request_delete(struct exchange *exchange)
{
	return set_deleted(exchange, true);
}

enum mortise_status request_undelete(struct exchange *exchange)
{
	return set_deleted(exchange, false);
}

enum mortise_status request_show(struct exchange *exchange)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	struct vault_version versions[VAULT_VERSIONS_MAX];
	struct wire_writer *reply = exchange->reply;
	struct vault_head head;
	size_t count = 0;

	TRY(explain(exchange, vault_show(vault, exchange->path, &head, versions, &count)));
	wire_put_text(reply, WIRE_TAG_PATH, head.path);
	wire_put_number(reply, WIRE_TAG_VERSION, head.current);
	size_t list = wire_list_begin(reply, WIRE_TAG_ITEMS);
	for (size_t i = 0; i < count; i++) {
		size_t item = wire_item_begin(reply);
		wire_put_number(reply, WIRE_TAG_VERSION, versions[i].number);
		wire_put_number(reply, WIRE_TAG_NUMBER, versions[i].uid);
		wire_put_number(reply, WIRE_TAG_TIME, versions[i].created_us);
		wire_put_number(reply, WIRE_TAG_TOTAL, versions[i].size_bytes);
		wire_item_end(reply, item);
	}
	wire_list_end(reply, list);
	wire_put_number(reply, WIRE_TAG_TIME, head.created_us);
	if (head.deleted_us)
		wire_put_number(reply, WIRE_TAG_DELETED, head.deleted_us);
	return MORTISE_OK;
}

struct listing {
	char prefix[MORTISE_PATH_MAX + 2]; /* "" or ends with '/' */
	uint8_t id[ID_SIZE];
	const uint8_t *after; /* NULL: from the start */
	unsigned entries, examined;
	bool has_more;
};

static enum mortise_status read_listing(struct exchange *exchange, struct listing *listing)
{
	const struct wire_message *request = exchange->request;
	const struct wire_field *prefix = &request->field[WIRE_TAG_PREFIX];
	const struct wire_field *cursor = &request->field[WIRE_TAG_CURSOR];

	if (prefix->bytes) {
		if (!path_is_valid((const char *)prefix->bytes, prefix->size))
			return exchange_fail(exchange, MORTISE_INVALID,
				"a prefix is a path, without a '/' at its end");
		memcpy(listing->prefix, prefix->bytes, prefix->size);
		listing->prefix[prefix->size] = '/';
	}
	if (!cursor->bytes)
		return MORTISE_OK;
	if (cursor->size != ID_SIZE)
		return exchange_fail(exchange, MORTISE_INVALID, "not a cursor of this agent");
	memcpy(listing->id, cursor->bytes, ID_SIZE);
	listing->after = listing->id;
	exchange_go_on(exchange, listing->id, ID_SIZE);
	return MORTISE_OK;
}

/* The prefix names a secret itself, or a folder above. */
static bool is_below(const char *path, const char *prefix)
{
	size_t size = strlen(prefix);

	return strncmp(path, prefix, size) == 0 ||
	       (size && strncmp(path, prefix, size - 1) == 0 && path[size - 1] == '\0');
}

static void put_entry(struct exchange *exchange, const struct vault_head *head)
{
	size_t item = wire_item_begin(exchange->reply);

	wire_put_text(exchange->reply, WIRE_TAG_PATH, head->path);
	wire_put_number(exchange->reply, WIRE_TAG_VERSION, head->current);
	wire_put_number(exchange->reply, WIRE_TAG_TIME, head->created_us);
	if (head->deleted_us)
		wire_put_number(exchange->reply, WIRE_TAG_DELETED, head->deleted_us);
	wire_item_end(exchange->reply, item);
}

/* Puts the entries that the caller may see, until the frame has enough. */
static enum mortise_status put_entries(struct exchange *exchange, struct listing *listing)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	struct vault_head head;

	while (listing->entries < LIST_ENTRIES_MAX && listing->examined < LIST_EXAMINED_MAX) {
		enum mortise_status status = vault_next(vault, listing->after, listing->id, &head);
		if (status == MORTISE_NOT_FOUND)
			return MORTISE_OK;
		TRY(status);
		listing->after = listing->id;
		listing->examined++;
		if (!exchange_may(exchange, VERB_LIST, head.path).allowed ||
			!is_below(head.path, listing->prefix))
			continue;
		put_entry(exchange, &head);
		listing->entries++;
	}
	listing->has_more = true;
	return MORTISE_OK;
}

enum mortise_status request_list(struct exchange *exchange)
{
	struct listing listing = {0};

	TRY(read_listing(exchange, &listing));
	size_t mark = wire_list_begin(exchange->reply, WIRE_TAG_ITEMS);
	requester_gather(exchange->agent, exchange->from, exchange->agent->policy);
	if (policy_may_ever(exchange->agent->policy, &exchange->from->caller.subject, VERB_LIST)) {
		TRY(put_entries(exchange, &listing));
	} else {
		/* Whoever may list nothing gets no work done, and a line as for a denial. */
		exchange_record(exchange, NULL, 0, 0, NULL, MORTISE_DENIED);
		exchange->is_silent = true;
	}
	wire_list_end(exchange->reply, mark);
	if (listing.has_more) {
		exchange_next_page(exchange, listing.id, ID_SIZE);
		wire_put(exchange->reply, WIRE_TAG_CURSOR, listing.id, ID_SIZE);
		wire_put_number(exchange->reply, WIRE_TAG_MORE, 1);
	}
	return MORTISE_OK;
}
