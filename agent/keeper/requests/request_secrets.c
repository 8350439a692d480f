/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange.h"
#include "little_endian.h"
#include "path.h"

static bool find_selector(const char *label, enum vault_selector *out_selector)
{
	static const struct {
		const char *label;
		enum vault_selector selector;
	} labels[] = {{"current", VAULT_CURRENT}, {"previous", VAULT_PREVIOUS},
		{"pending", VAULT_PENDING}};

	for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++)
		if (strcmp(label, labels[i].label) == 0) {
			*out_selector = labels[i].selector;
			return true;
		}
	return false;
}

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
		!find_selector(label, &choice->selector))
		return exchange_fail(
			exchange, MORTISE_INVALID, "a label is current, previous or pending");
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
	struct decision decision = exchange_may(exchange, exchange->operation->verb, path);
	got->rule = decision.rule;
	got->status =
		decision.allowed ? exchange_take(exchange, &decision) : exchange_deny(exchange);
	bool is_put_off = got->status == MORTISE_BUSY;
	if (got->status == MORTISE_OK)
		got->status = vault_read(lifecycle_vault(exchange->agent->lifecycle), path, choice,
			&value, &got->version);
	size_t mark = wire_item_begin(exchange->reply);
	if (is_put_off) /* says when to try again */
		wire_put_text(exchange->reply, WIRE_TAG_TEXT, exchange->text);
	if (got->status == MORTISE_OK) {
		wire_put_number(exchange->reply, WIRE_TAG_VERSION, got->version);
		wire_put(exchange->reply, WIRE_TAG_VALUE, value->bytes, value->size);
	}
	wire_put_number(exchange->reply, WIRE_TAG_STATUS, got->status);
	if (is_put_off)
		wire_put_number(exchange->reply, WIRE_TAG_NUMBER, exchange->wait_ms);
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

/* The same path again, and the same came of it? It costs the caller nothing, so it has no line. */
static bool is_repeated(const struct got *gets, size_t at)
{
	const struct got *got = &gets[at];

	for (size_t i = 0; i < at; i++)
		if (gets[i].path.size == got->path.size && gets[i].status == got->status &&
			gets[i].version == got->version &&
			memcmp(gets[i].path.bytes, got->path.bytes, got->path.size) == 0)
			return true;
	return false;
}

/* A line for each path. Where the answer fits no frame, nothing was released. */
static enum mortise_status record_gets(
	struct exchange *exchange, const struct got *gets, size_t count)
{
	bool fits = !exchange->reply->failed;

	for (size_t i = 0; i < count; i++)
		if (!is_repeated(gets, i))
			exchange_record(exchange, (const char *)gets[i].path.bytes,
				gets[i].path.size, fits ? gets[i].version : 0, gets[i].rule,
				fits ? gets[i].status : MORTISE_INVALID);
	exchange->is_silent = true;
	if (!fits)
		return exchange_fail(exchange, MORTISE_INVALID,
			"these %zu values are larger than one answer may be (%d bytes); ask for "
			"fewer at once",
			count, WIRE_FRAME_MAX);
	return MORTISE_OK;
}

enum mortise_status request_get(struct exchange *exchange)
{
	static struct got gets[WIRE_BATCH_MAX]; /* on the stack the compiler would zero 12 KiB */
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

static enum mortise_status check_value(struct exchange *exchange, const struct wire_field *value)
{
	if (!value->bytes || value->size > MORTISE_VALUE_MAX)
		return exchange_fail(
			exchange, MORTISE_INVALID, "a value is 0 to %d bytes", MORTISE_VALUE_MAX);
	return MORTISE_OK;
}

/* note: VAULT_NOTE_MAX + 1 bytes that outlive the write. */
static enum mortise_status read_write(
	struct exchange *exchange, struct vault_write *write, char *note)
{
	const struct wire_message *request = exchange->request;

	*write = (struct vault_write){.path = exchange->path};
	TRY(exchange_begin_write(exchange, write));
	if (wire_has(request, WIRE_TAG_NOTE)) {
		TRY(exchange_line(exchange, WIRE_TAG_NOTE, note, VAULT_NOTE_MAX));
		write->note = note;
	}
	TRY(exchange_flag(exchange, WIRE_TAG_IF_CHANGED, &write->only_if_changed));
	return MORTISE_OK;
}

enum mortise_status request_set(struct exchange *exchange)
{
	struct vault_outcome outcome;
	const struct wire_field *value = wire_field_of(exchange->request, WIRE_TAG_VALUE);
	char note[VAULT_NOTE_MAX + 1];
	struct vault_write write;

	TRY(check_value(exchange, value));
	TRY(read_write(exchange, &write, note));
	write.value = value->bytes;
	write.size = value->size;
	write.joins = exchange->agent->has_turns;
	/* The answer says whether the value is this one: only who may read it is told. */
	if (write.only_if_changed && !exchange_may(exchange, VERB_READ, exchange->path).allowed)
		return exchange_deny(exchange);
	TRY(exchange_keep_one(exchange, &write));
	enum mortise_status status =
		vault_write(lifecycle_vault(exchange->agent->lifecycle), &write, &outcome);
	if (status == MORTISE_CONFLICT)
		return exchange_fail_expected(exchange, write.expected_version);
	TRY(exchange_explain(exchange, status));
	exchange_outcome(exchange, &outcome);
	return MORTISE_OK;
}

static enum mortise_status set_deleted(struct exchange *exchange, bool is_deleted)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	struct vault_outcome outcome;
	uint64_t when_us = exchange->now.is_believed ? exchange->now.wall_us : VAULT_TIME_UNKNOWN;
	enum mortise_status status =
		vault_set_deleted(vault, exchange->path, is_deleted, when_us, &outcome);
	if (status == MORTISE_CONFLICT)
		return exchange_fail(exchange, status,
			"its current version was destroyed; give it a value: mortise set");
	TRY(exchange_explain(exchange, status));
	exchange_outcome(exchange, &outcome);
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

/* A list of writes, each path checked and allowed or not. */
struct batch {
	struct vault_write *writes;
	struct vault_outcome *outcomes;
	struct item {
		char path[MORTISE_PATH_MAX + 1];
		char rule[POLICY_TITLE_MAX + 1];
		enum mortise_status status;
	} * items;
	size_t count;
};

static void batch_done(struct batch *batch)
{
	free(batch->writes);
	free(batch->outcomes);
	free(batch->items);
}

static enum mortise_status batch_new(struct batch *batch)
{
	batch->writes = calloc(WIRE_SETS_MAX, sizeof *batch->writes);
	batch->outcomes = calloc(WIRE_SETS_MAX, sizeof *batch->outcomes);
	batch->items = calloc(WIRE_SETS_MAX, sizeof *batch->items);
	return batch->writes && batch->outcomes && batch->items ? MORTISE_OK : MORTISE_BUSY;
}

static enum mortise_status read_batch(
	struct exchange *exchange, const struct vault_write *like, struct batch *batch)
{
	struct wire_list list = wire_list_of(exchange->request, WIRE_TAG_ITEMS);
	struct wire_message item;
	struct wire_field field;

	for (; wire_list_next(&list, &field); batch->count++) {
		if (batch->count == WIRE_SETS_MAX)
			return exchange_fail(exchange, MORTISE_INVALID,
				"at most %d values in one request", WIRE_SETS_MAX);
		if (wire_parse_fields(field.bytes, field.size, &item) != MORTISE_OK ||
			!wire_has_fields(&item, WIRE_TAGS(WIRE_TAG_PATH, WIRE_TAG_VALUE), NULL))
			return exchange_fail(
				exchange, MORTISE_INVALID, "an item is a path and a value");
		TRY(exchange_path(exchange, wire_field_of(&item, WIRE_TAG_PATH),
			batch->items[batch->count].path));
		const struct wire_field *value = wire_field_of(&item, WIRE_TAG_VALUE);
		TRY(check_value(exchange, value));
		struct vault_write *write = &batch->writes[batch->count];
		*write = *like;
		write->path = batch->items[batch->count].path;
		write->value = value->bytes;
		write->size = value->size;
	}
	if (!wire_list_is_whole(&list) || batch->count == 0)
		return exchange_fail(exchange, MORTISE_INVALID, "the request has no values");
	return MORTISE_OK;
}

/* All of them are looked at, so that the record has each; the first that is denied is told. */
static enum mortise_status may_write(struct exchange *exchange, struct batch *batch, bool must_read)
{
	enum mortise_status status = MORTISE_OK;

	for (size_t i = 0; i < batch->count; i++) {
		struct item *item = &batch->items[i];
		struct decision decision =
			exchange_may(exchange, exchange->operation->verb, item->path);
		if (decision.rule)
			snprintf(item->rule, sizeof item->rule, "%s", decision.rule);
		bool is_allowed =
			decision.allowed &&
			(!must_read || exchange_may(exchange, VERB_READ, item->path).allowed);
		item->status = is_allowed ? exchange_take(exchange, &decision) : MORTISE_DENIED;
		if (item->status == MORTISE_DENIED && status == MORTISE_OK)
			exchange_fail(exchange, item->status,
				"%s: denied, or no such secret for you; nothing was set",
				item->path);
		if (status == MORTISE_OK)
			status = item->status;
	}
	return status;
}

static void drop_census(struct census **census)
{
	census_free(*census);
}

static enum mortise_status keep_batch(struct exchange *exchange, const struct batch *batch)
{
	CLEANUP(drop_census) struct census *claims = NULL;

	TRY(census_new(&claims));
	for (size_t i = 0; i < batch->count; i++)
		TRY(exchange_keep(exchange, claims, &batch->writes[i]));
	return MORTISE_OK;
}

static enum mortise_status put_batch(struct exchange *exchange, struct batch *batch)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);

	TRY(keep_batch(exchange, batch));
	enum mortise_status status =
		vault_write_all(vault, batch->writes, batch->count, batch->outcomes);

	if (status == MORTISE_INVALID)
		return exchange_fail(exchange, status, "a path stands twice");
	TRY(exchange_explain(exchange, status));
	size_t mark = wire_list_begin(exchange->reply, WIRE_TAG_ITEMS);
	for (size_t i = 0; i < batch->count; i++) {
		size_t item = wire_item_begin(exchange->reply);
		wire_put_number(exchange->reply, WIRE_TAG_VERSION, batch->outcomes[i].version);
		wire_put_number(exchange->reply, WIRE_TAG_CHANGED, batch->outcomes[i].changed);
		wire_item_end(exchange->reply, item);
	}
	wire_list_end(exchange->reply, mark);
	return MORTISE_OK;
}

enum mortise_status request_set_batch(struct exchange *exchange)
{
	CLEANUP(batch_done) struct batch batch = {0};
	char note[VAULT_NOTE_MAX + 1];
	struct vault_write like;

	TRY(batch_new(&batch));
	TRY(read_write(exchange, &like, note));
	TRY(read_batch(exchange, &like, &batch));
	enum mortise_status status = may_write(exchange, &batch, like.only_if_changed);
	if (status == MORTISE_OK)
		status = put_batch(exchange, &batch);
	for (size_t i = 0; i < batch.count; i++) {
		const struct item *item = &batch.items[i];
		exchange_record(exchange, item->path, strlen(item->path), batch.outcomes[i].version,
			item->rule[0] ? item->rule : NULL,
			item->status != MORTISE_OK ? item->status : status);
	}
	exchange->is_silent = true;
	return status;
}

/* What there is: list and show. */

#define LIST_ENTRIES_MAX  256  /* in one frame */
#define LIST_EXAMINED_MAX 1024 /* rows looked at for one frame */
#define LIST_US           5000 /* and for about so long */

static const char *label_of(const struct vault_head *head, uint64_t number)
{
	return number == head->current    ? "current"
	       : number == head->previous ? "previous"
	       : number == head->pending  ? "pending"
					  : NULL;
}

static void put_version(struct wire_writer *reply, const struct vault_head *head,
	const struct vault_version *version)
{
	const char *label = label_of(head, version->number);
	size_t item = wire_item_begin(reply);

	wire_put_number(reply, WIRE_TAG_VERSION, version->number);
	if (label)
		wire_put_text(reply, WIRE_TAG_LABEL, label);
	wire_put_number(reply, WIRE_TAG_NUMBER, version->uid);
	wire_put_number(reply, WIRE_TAG_TIME, version->created_us);
	wire_put_number(reply, WIRE_TAG_TOTAL, version->size_bytes);
	if (version->note[0])
		wire_put_text(reply, WIRE_TAG_NOTE, version->note);
	wire_item_end(reply, item);
}

static void put_metadata(struct wire_writer *reply, const struct vault_metadata *metadata)
{
	char text[VAULT_KEY_MAX + VAULT_PAIR_VALUE_MAX + 2];
	size_t mark = wire_list_begin(reply, WIRE_TAG_META);

	for (size_t i = 0; i < metadata->pair_count; i++) {
		const struct vault_pair *pair = &metadata->pairs[i];
		int size = snprintf(text, sizeof text, "%s=%s", pair->key, pair->value);
		wire_item_put(reply, text, (size_t)size);
	}
	wire_list_end(reply, mark);
	if (metadata->note[0])
		wire_put_text(reply, WIRE_TAG_NOTE, metadata->note);
	if (metadata->max_age_s)
		wire_put_number(reply, WIRE_TAG_MAX_AGE, metadata->max_age_s);
	if (metadata->hook[0])
		wire_put_text(reply, WIRE_TAG_HOOK, metadata->hook);
}

enum mortise_status request_show(struct exchange *exchange)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	struct vault_version versions[VAULT_VERSIONS_MAX];
	struct wire_writer *reply = exchange->reply;
	struct vault_head head;
	size_t count = 0;

	TRY(exchange_explain(exchange, vault_show(vault, exchange->path, &head, versions, &count)));
	wire_put_text(reply, WIRE_TAG_PATH, head.path);
	wire_put_number(reply, WIRE_TAG_VERSION, head.current);
	size_t list = wire_list_begin(reply, WIRE_TAG_ITEMS);
	for (size_t i = 0; i < count; i++)
		put_version(reply, &head, &versions[i]);
	wire_list_end(reply, list);
	wire_put_number(reply, WIRE_TAG_TIME, head.created_us);
	wire_put_number(reply, WIRE_TAG_TOTAL,
		head.metadata.keep ? head.metadata.keep : VAULT_KEEP_VERSIONS);
	if (head.deleted_us)
		wire_put_number(reply, WIRE_TAG_DELETED, head.deleted_us);
	put_metadata(reply, &head.metadata);
	return MORTISE_OK;
}

#define CURSOR_SIZE 8 /* a number */

struct listing {
	char prefix[MORTISE_PATH_MAX + 2]; /* "" or ends with '/' */
	uint64_t after;                    /* the number of the secret that was looked at last */
	unsigned entries, examined;
	bool has_more;
};

static enum mortise_status read_listing(struct exchange *exchange, struct listing *listing)
{
	const struct wire_message *request = exchange->request;
	const struct wire_field *prefix = wire_field_of(request, WIRE_TAG_PREFIX);
	const struct wire_field *cursor = wire_field_of(request, WIRE_TAG_CURSOR);

	if (prefix->bytes) {
		if (!path_is_valid((const char *)prefix->bytes, prefix->size))
			return exchange_fail(exchange, MORTISE_INVALID,
				"a prefix is a path, without a '/' at its end");
		memcpy(listing->prefix, prefix->bytes, prefix->size);
		listing->prefix[prefix->size] = '/';
	}
	if (!cursor->bytes)
		return MORTISE_OK;
	if (cursor->size != CURSOR_SIZE)
		return exchange_fail(exchange, MORTISE_INVALID, "not a cursor of this agent");
	listing->after = le64_get(cursor->bytes);
	exchange_go_on(exchange, cursor->bytes, CURSOR_SIZE);
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
	if (head->current_created_us)
		wire_put_number(exchange->reply, WIRE_TAG_NUMBER, head->current_created_us);
	wire_put_number(exchange->reply, WIRE_TAG_TIME, head->created_us);
	if (head->deleted_us)
		wire_put_number(exchange->reply, WIRE_TAG_DELETED, head->deleted_us);
	if (head->metadata.max_age_s)
		wire_put_number(exchange->reply, WIRE_TAG_MAX_AGE, head->metadata.max_age_s);
	wire_item_end(exchange->reply, item);
}

/* Puts the entries that the caller may see, until the frame has enough. */
static enum mortise_status put_entries(struct exchange *exchange, struct listing *listing)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	uint64_t until_us = clock_steady_us() + LIST_US;
	struct vault_head head;

	while (listing->entries < LIST_ENTRIES_MAX && listing->examined < LIST_EXAMINED_MAX &&
		(!listing->examined || clock_steady_us() < until_us)) {
		enum mortise_status status =
			vault_next(vault, listing->after, &listing->after, &head);
		if (status == MORTISE_NOT_FOUND)
			return MORTISE_OK;
		TRY(status);
		listing->examined++;
		if (!exchange_may(exchange, exchange->operation->verb, head.path).allowed ||
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
	if (policy_may_ever(exchange->agent->policy, &exchange->from->caller.subject,
		    exchange->operation->verb)) {
		TRY(put_entries(exchange, &listing));
	} else if (exchange->from->caller.trouble || exchange->from->caller.exe_trouble) {
		return exchange_deny(exchange);
	} else {
		/* Whoever may list nothing gets no work done, and a line as for a denial. */
		exchange_record(exchange, NULL, 0, 0, NULL, MORTISE_DENIED);
		exchange->is_silent = true;
	}
	wire_list_end(exchange->reply, mark);
	if (listing.has_more) {
		uint8_t cursor[CURSOR_SIZE];
		le64_put(cursor, listing.after);
		exchange_next_page(exchange, cursor, sizeof cursor);
		wire_put(exchange->reply, WIRE_TAG_CURSOR, cursor, sizeof cursor);
		wire_put_number(exchange->reply, WIRE_TAG_MORE, 1);
	}
	/* What is due is so by this clock, which is at times believed less than a host's. */
	wire_put_number(exchange->reply, WIRE_TAG_TIME, exchange->now.least_us);
	return MORTISE_OK;
}
