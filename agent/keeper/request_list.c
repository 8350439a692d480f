/* SPDX-License-Identifier: ISC */
/* What there is: list and show. */
#include <stdio.h>
#include <string.h>

#include "exchange.h"
#include "path.h"

#define LIST_ENTRIES_MAX  256  /* in one frame */
#define LIST_EXAMINED_MAX 1024 /* rows looked at for one frame */

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
	struct vault_head head;

	while (listing->entries < LIST_ENTRIES_MAX && listing->examined < LIST_EXAMINED_MAX) {
		enum mortise_status status = vault_next(vault, listing->after, listing->id, &head);
		if (status == MORTISE_NOT_FOUND)
			return MORTISE_OK;
		TRY(status);
		listing->after = listing->id;
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
		exchange_next_page(exchange, listing.id, ID_SIZE);
		wire_put(exchange->reply, WIRE_TAG_CURSOR, listing.id, ID_SIZE);
		wire_put_number(exchange->reply, WIRE_TAG_MORE, 1);
	}
	/* What is due is so by this clock, which is at times believed less than a host's. */
	wire_put_number(exchange->reply, WIRE_TAG_TIME, exchange->now.least_us);
	return MORTISE_OK;
}
