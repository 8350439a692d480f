/* SPDX-License-Identifier: ISC */
/*
 * hygiene: which secrets share a value, which are old, which overdue. Page after page of one
 * connection: first every current value is read and its fingerprint noted, a slice at a time; then
 * what was found is told. Fingerprints stay here, and go with the connection.
 */
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "exchange.h"
#include "little_endian.h"

#define SLICE_VALUES 128 /* read for one frame */
#define FOUND_MAX    256 /* told in one */
#define CURSOR_SIZE  8   /* how many pages there were */

struct seen {
	uint8_t fingerprint[ENVELOPE_HASH];
	uint64_t number; /* of a secret */
};

struct hygiene {
	uint64_t epoch; /* fingerprints of another are of no use */
	uint64_t older_than_us;
	uint64_t after; /* the secret that was looked at last */
	bool is_read;   /* all values: then seen is in order */
	struct seen *seen;
	size_t count;
	size_t at; /* in seen: all before was told */
	uint64_t group, pages, examined;
};

static void drop(void *state)
{
	struct hygiene *hygiene = state;

	free(hygiene->seen);
	free(hygiene);
}

static enum mortise_status remember(
	struct hygiene *hygiene, uint64_t number, const uint8_t fingerprint[ENVELOPE_HASH])
{
	struct seen *seen = array_room(hygiene->seen, hygiene->count, sizeof *seen);

	if (!seen)
		return MORTISE_BUSY;
	hygiene->seen = seen;
	seen += hygiene->count++;
	memcpy(seen->fingerprint, fingerprint, sizeof seen->fingerprint);
	seen->number = number;
	return MORTISE_OK;
}

/* Tells of a secret whose current version is too old, by itself or for who asks. */
static enum mortise_status tell_age(
	struct exchange *exchange, const struct hygiene *hygiene, const char *path)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	struct vault_version versions[VAULT_VERSIONS_MAX];
	struct vault_head head;
	uint64_t created_us = 0;
	size_t count = 0;

	TRY(vault_show(vault, path, &head, versions, &count));
	for (size_t i = 0; i < count; i++)
		if (versions[i].number == head.current)
			created_us = versions[i].created_us;
	uint64_t max_age_s = head.metadata.max_age_s;
	uint64_t now_us = exchange->now.least_us;
	bool is_overdue =
		max_age_s && created_us < now_us && (now_us - created_us) / 1000000 >= max_age_s;
	if (!created_us || (!is_overdue && created_us >= hygiene->older_than_us))
		return MORTISE_OK;
	size_t item = wire_item_begin(exchange->reply);
	wire_put_text(exchange->reply, WIRE_TAG_PATH, head.path);
	wire_put_number(exchange->reply, WIRE_TAG_TIME, created_us);
	if (is_overdue)
		wire_put_number(exchange->reply, WIRE_TAG_MAX_AGE, max_age_s);
	wire_item_end(exchange->reply, item);
	return MORTISE_OK;
}

/* Many secrets have no value: only others can share one. */
static enum mortise_status examine(
	struct exchange *exchange, struct hygiene *hygiene, const struct vault_head *head)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	uint8_t fingerprint[ENVELOPE_HASH];
	bool is_empty = false;

	if (head->deleted_us || !head->current)
		return MORTISE_OK;
	enum mortise_status status = vault_fingerprint(vault, head->path, fingerprint, &is_empty);
	if (status == MORTISE_INTEGRITY)
		return exchange_fail(exchange, status,
			"%s: the value on disk is not what was set; run: mortise verify",
			head->path);
	TRY(status);
	if (!is_empty)
		TRY(remember(hygiene, hygiene->after, fingerprint));
	return tell_age(exchange, hygiene, head->path);
}

static int compare(const void *one, const void *other)
{
	const struct seen *a = one, *b = other;
	int order = memcmp(a->fingerprint, b->fingerprint, sizeof a->fingerprint);

	if (order)
		return order;
	return a->number < b->number ? -1 : a->number > b->number;
}

static enum mortise_status read_some(struct exchange *exchange, struct hygiene *hygiene)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	struct vault_head head;

	for (unsigned i = 0; i < SLICE_VALUES; i++) {
		enum mortise_status status =
			vault_next(vault, hygiene->after, &hygiene->after, &head);
		if (status == MORTISE_NOT_FOUND) {
			if (hygiene->count)
				qsort(hygiene->seen, hygiene->count, sizeof *hygiene->seen,
					compare);
			hygiene->is_read = true;
			return MORTISE_OK;
		}
		TRY(status);
		hygiene->examined++;
		TRY(examine(exchange, hygiene, &head));
	}
	return MORTISE_OK;
}

static bool is_same(const struct hygiene *hygiene, size_t one, size_t other)
{
	return one < hygiene->count && other < hygiene->count &&
	       memcmp(hygiene->seen[one].fingerprint, hygiene->seen[other].fingerprint,
		       ENVELOPE_HASH) == 0;
}

/* Those that share a value stand side by side; one may be gone by now. */
static enum mortise_status tell_twins(struct exchange *exchange, struct hygiene *hygiene)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	struct vault_head head;
	unsigned told = 0;

	for (; hygiene->at < hygiene->count && told < FOUND_MAX; hygiene->at++) {
		size_t at = hygiene->at;
		bool is_first = at == 0 || !is_same(hygiene, at - 1, at);
		if (is_first && !is_same(hygiene, at, at + 1))
			continue;
		hygiene->group += is_first;
		enum mortise_status status = vault_head(vault, hygiene->seen[at].number, &head);
		if (status != MORTISE_NOT_FOUND)
			TRY(status);
		if (status != MORTISE_OK || head.deleted_us)
			continue;
		size_t item = wire_item_begin(exchange->reply);
		wire_put_text(exchange->reply, WIRE_TAG_PATH, head.path);
		wire_put_number(exchange->reply, WIRE_TAG_NUMBER, hygiene->group);
		wire_item_end(exchange->reply, item);
		told++;
	}
	return MORTISE_OK;
}

static enum mortise_status start(struct exchange *exchange)
{
	struct requester *from = exchange->from;
	uint64_t older_than_us = 0;

	if (wire_has(exchange->request, WIRE_TAG_TIME))
		TRY(wire_number(exchange->request, WIRE_TAG_TIME, &older_than_us));
	hung_drop(&from->hygiene);
	struct hygiene *hygiene = calloc(1, sizeof *hygiene);
	if (!hygiene)
		return MORTISE_BUSY;
	hygiene->older_than_us = older_than_us;
	hygiene->epoch = vault_epoch(lifecycle_vault(exchange->agent->lifecycle));
	from->hygiene = (struct hung){hygiene, drop};
	return MORTISE_OK;
}

static enum mortise_status go_on(struct exchange *exchange, const struct wire_field *cursor)
{
	struct hygiene *hygiene = exchange->from->hygiene.state;
	uint8_t expected[CURSOR_SIZE];

	if (!hygiene || cursor->size != sizeof expected)
		return exchange_fail(exchange, MORTISE_INVALID, "not a cursor of this connection");
	le64_put(expected, hygiene->pages);
	if (memcmp(cursor->bytes, expected, sizeof expected) != 0)
		return exchange_fail(exchange, MORTISE_INVALID, "not a cursor of this connection");
	exchange_go_on(exchange, cursor->bytes, cursor->size);
	if (hygiene->epoch != vault_epoch(lifecycle_vault(exchange->agent->lifecycle)))
		return exchange_fail(exchange, MORTISE_CONFLICT,
			"the master key was replaced meanwhile; ask again from the start");
	return MORTISE_OK;
}

static bool is_at_end(const struct hygiene *hygiene)
{
	return hygiene->is_read && hygiene->at == hygiene->count;
}

static enum mortise_status put_page(struct exchange *exchange, struct hygiene *hygiene)
{
	struct wire_writer *reply = exchange->reply;
	uint8_t cursor[CURSOR_SIZE];

	size_t list = wire_list_begin(reply, WIRE_TAG_ITEMS);
	TRY(hygiene->is_read ? tell_twins(exchange, hygiene) : read_some(exchange, hygiene));
	wire_list_end(reply, list);
	le64_put(cursor, ++hygiene->pages);
	if (!is_at_end(hygiene)) {
		exchange_next_page(exchange, cursor, sizeof cursor);
		wire_put(reply, WIRE_TAG_CURSOR, cursor, sizeof cursor);
		wire_put_number(reply, WIRE_TAG_MORE, 1);
	}
	wire_put_number(reply, WIRE_TAG_DONE, hygiene->examined);
	wire_put_number(
		reply, WIRE_TAG_TOTAL, vault_count(lifecycle_vault(exchange->agent->lifecycle)));
	return MORTISE_OK;
}

enum mortise_status request_hygiene(struct exchange *exchange)
{
	const struct wire_field *cursor = wire_field_of(exchange->request, WIRE_TAG_CURSOR);
	struct requester *from = exchange->from;

	TRY(cursor->bytes ? go_on(exchange, cursor) : start(exchange));
	enum mortise_status status = put_page(exchange, from->hygiene.state);
	if (status != MORTISE_OK)
		exchange->is_silent = false;
	if (status == MORTISE_OK && !is_at_end(from->hygiene.state))
		return MORTISE_OK;
	hung_drop(&from->hygiene);
	return status;
}
