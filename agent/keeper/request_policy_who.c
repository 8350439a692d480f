/* SPDX-License-Identifier: ISC */
/* `policy who` and `policy may`: what the rules say, a page at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy_answers.h"
#include "request_policy_suppose.h"

#define PAGE_BYTES  65536
#define GRANTS_MAX  500 /* on a page */
#define VERBS_ALONE (VERB_AUDIT | VERB_ADMIN)
#define VERBS_ALL   (2u * VERB_ADMIN - 1)
#define PART_SHIFT  30
#define CURSOR_SIZE REQUEST_PAGE_SIZE /* u64 version, u32 rule, u32 value and part above it */
#define CUT         " ..."

struct page {
	struct wire_writer items;
	unsigned count;
	bool shows_secrets;
	uint8_t bytes[PAGE_BYTES];
	struct policy_place place;
	bool has_cursor, is_whole;
	uint64_t version;
};

static void put_cut(struct wire_writer *items, enum wire_tag tag, const char *text)
{
	char cut[WIRE_TEXT_MAX];

	if (strlen(text) < sizeof cut) {
		wire_put_text(items, tag, text);
		return;
	}
	memcpy(cut, text, sizeof cut - sizeof CUT);
	memcpy(cut + sizeof cut - sizeof CUT, CUT, sizeof CUT);
	wire_put_text(items, tag, cut);
}

/* They stood in one line of a file, so they fit a page. */
static void put_secrets(struct wire_writer *items, const char *secrets)
{
	size_t list = wire_list_begin(items, WIRE_TAG_PATHS);

	for (const char *at = secrets; *at; at += *at == ' ') {
		wire_item_put(items, at, strcspn(at, " "));
		at += strcspn(at, " ");
	}
	wire_list_end(items, list);
}

static void put_grant(struct page *page, const struct policy_grant *grant)
{
	struct wire_writer *items = &page->items;
	size_t item = wire_item_begin(items);

	if (grant->conditions[0])
		put_cut(items, WIRE_TAG_TEXT, grant->conditions);
	if (page->shows_secrets && grant->secrets[0])
		put_secrets(items, grant->secrets);
	wire_put_number(items, WIRE_TAG_STATUS, grant->is_deny ? MORTISE_DENIED : MORTISE_OK);
	put_cut(items, WIRE_TAG_NAME, grant->who);
	if (grant->is_credential)
		wire_put_number(items, WIRE_TAG_NUMBER, 1);
	wire_put_text(items, WIRE_TAG_VERB, grant->verbs);
	wire_put_text(items, WIRE_TAG_RULE, grant->rule);
	wire_item_end(items, item);
}

/* One that does not fit is the first of the next page, where it does. */
static bool add_grant(void *context, const struct policy_grant *grant)
{
	struct page *page = context;
	size_t before = page->items.size;

	if (page->count == GRANTS_MAX)
		return false;
	put_grant(page, grant);
	if (page->items.failed) {
		page->items.size = before;
		page->items.failed = false;
		return false;
	}
	page->count++;
	return true;
}

static uint64_t load(const uint8_t *bytes, unsigned size)
{
	uint64_t number = 0;

	while (size-- > 0)
		number = number << 8 | bytes[size];
	return number;
}

static void store(uint8_t *bytes, unsigned size, uint64_t number)
{
	for (unsigned i = 0; i < size; i++)
		bytes[i] = (uint8_t)(number >> 8 * i);
}

static enum mortise_status begin_page(struct exchange *exchange, struct page *page)
{
	const struct wire_field *cursor = &exchange->request->field[WIRE_TAG_CURSOR];

	page->items = (struct wire_writer){.bytes = page->bytes, .capacity = sizeof page->bytes};
	if (!cursor->bytes)
		return MORTISE_OK;
	if (cursor->size != CURSOR_SIZE)
		return exchange_fail(exchange, MORTISE_INVALID, "not a cursor of this agent");
	page->has_cursor = true;
	page->version = load(cursor->bytes, 8);
	page->place.rule = (uint32_t)load(cursor->bytes + 8, 4);
	page->place.value = (uint32_t)load(cursor->bytes + 12, 4);
	page->place.part = page->place.value >> PART_SHIFT;
	page->place.value &= (1u << PART_SHIFT) - 1;
	if (page->place.part > POLICY_DENIES)
		return exchange_fail(exchange, MORTISE_INVALID, "not a cursor of this agent");
	exchange_go_on(exchange, cursor->bytes, cursor->size);
	return MORTISE_OK;
}

static void write_cursor(const struct page *page, uint8_t cursor[CURSOR_SIZE])
{
	store(cursor, 8, page->version);
	store(cursor + 8, 4, page->place.rule);
	store(cursor + 12, 4, page->place.value | (uint32_t)page->place.part << PART_SHIFT);
}

/* A place in one policy is none in another. */
static bool is_overtaken(struct page *page, const struct agent *agent)
{
	if (page->has_cursor && page->version != agent->policy_version)
		return true;
	page->version = agent->policy_version;
	return false;
}

#define OVERTAKEN "the policy has changed meanwhile; ask again from the start"

static void put_page(struct wire_writer *reply, const struct page *page)
{
	uint8_t cursor[CURSOR_SIZE];

	wire_put(reply, WIRE_TAG_ITEMS, page->bytes, page->items.size);
	if (page->is_whole)
		return;
	write_cursor(page, cursor);
	wire_put(reply, WIRE_TAG_CURSOR, cursor, sizeof cursor);
	wire_put_number(reply, WIRE_TAG_MORE, 1);
}

static void promise_next(struct exchange *exchange, const struct page *page)
{
	uint8_t cursor[CURSOR_SIZE];

	write_cursor(page, cursor);
	if (!page->is_whole && exchange->from)
		exchange_next_page(exchange, cursor, sizeof cursor);
}

/* Without a verb: all that can be done to a secret, or that concerns none. */
static enum mortise_status read_verbs(struct exchange *exchange, unsigned *out_verbs)
{
	bool has_path = exchange->path[0];
	unsigned fitting = has_path ? VERBS_ALL & ~(unsigned)VERBS_ALONE : VERBS_ALONE;
	unsigned verbs = fitting;
	char verb[16] = "";

	if (wire_has(exchange->request, WIRE_TAG_VERB)) {
		if (wire_text(exchange->request, WIRE_TAG_VERB, verb, sizeof verb) != MORTISE_OK)
			verb[0] = '\0';
		verbs = verb_of_name(verb) & fitting;
	}
	if (!verbs)
		return exchange_fail(exchange, MORTISE_INVALID,
			has_path ? "a verb for a path is read, list, write, delete or rotate"
				 : "without a path a verb is audit or admin");
	*out_verbs = verbs;
	return MORTISE_OK;
}

static enum mortise_status answer_who(struct exchange *exchange, struct page *page)
{
	const struct agent *agent = exchange->agent;
	unsigned verbs = 0;

	TRY(read_verbs(exchange, &verbs));
	TRY(begin_page(exchange, page));
	if (is_overtaken(page, agent))
		return exchange_fail(exchange, MORTISE_CONFLICT, OVERTAKEN);
	TRY(policy_who(agent->policy, verbs, exchange->path[0] ? exchange->path : NULL,
		(time_t)(exchange->now.least_us / 1000000), &page->place, add_grant, page,
		&page->is_whole));
	put_page(exchange->reply, page);
	promise_next(exchange, page);
	return MORTISE_OK;
}

enum mortise_status request_policy_who(struct exchange *exchange)
{
	struct page *page = calloc(1, sizeof *page);

	if (!page)
		return MORTISE_BUSY;
	enum mortise_status status = answer_who(exchange, page);
	free(page);
	return status;
}

struct listing {
	struct supposed supposed; /* first: it is this by another name */
	struct page page;
};

static void listing_free(void *context)
{
	suppose_done(context);
	free(context);
}

static void put_listing(struct wire_writer *reply, const void *context)
{
	const struct listing *listing = context;
	char who[96];

	suppose_name(&listing->supposed, who, sizeof who);
	wire_put_text(reply, WIRE_TAG_TEXT, who);
	put_page(reply, &listing->page);
}

static enum mortise_status judge_listing(struct supposed *supposed)
{
	struct page *page = &((struct listing *)(void *)supposed)->page;
	struct exchange exchange = {.from = supposed->from, .operation = supposed->operation};
	unsigned verbs = supposed->entrance ? supposed->entrance->verbs : VERBS_ALL;

	if (is_overtaken(page, supposed->agent)) {
		(void)snprintf(supposed->text, sizeof supposed->text, OVERTAKEN);
		return MORTISE_CONFLICT;
	}
	TRY(policy_may(supposed->agent->policy, &supposed->subject, verbs,
		(time_t)(supposed->now.least_us / 1000000), &page->place, add_grant, page,
		&page->is_whole));
	promise_next(&exchange, page);
	return MORTISE_OK;
}

enum mortise_status request_policy_may(struct exchange *exchange)
{
	struct listing *listing = calloc(1, sizeof *listing);

	if (!listing)
		return MORTISE_BUSY;
	listing->supposed.leaves_ungathered = true;
	listing->supposed.judge = judge_listing;
	listing->supposed.put = put_listing;
	listing->supposed.release = listing_free;
	listing->page.shows_secrets = true;
	enum mortise_status status = begin_page(exchange, &listing->page);
	if (status == MORTISE_OK)
		return suppose_start(exchange, &listing->supposed);
	listing_free(listing);
	return status;
}
