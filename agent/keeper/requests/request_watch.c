/* SPDX-License-Identifier: ISC */
/*
 * watch: a request that waits until one of its secrets has another current version than the one
 * the caller knows. Only numbers are told; rights are looked at again at the moment of telling.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "exchange.h"

#define LIMIT_MS         600000 /* then the caller is told that nothing has changed */
#define WATCHED_MAX      4096   /* paths of all callers together */
#define SHARE_OF_ONE_UID 4      /* unless it is root's or the agent's, such a part of them */
#define SWEEP_MS         1000

struct watched {
	uint64_t known, current;
	enum mortise_status status;
	bool is_told;
	char path[MORTISE_PATH_MAX + 1];
};

struct watch {
	struct watch_list *list; /* NULL: not among those that wait */
	struct watch *next, **link;
	struct pending *pending;
	uint64_t until_ms;
	uint32_t uid;
	bool is_unjudged; /* by the policy in force: who asks has to be found out first */
	size_t count;
	struct watched paths[WIRE_WATCH_MAX];
};

static void drop(void *context)
{
	struct watch *watch = context;

	if (watch->list) {
		*watch->link = watch->next;
		if (watch->next)
			watch->next->link = watch->link;
		watch->list->paths -= watch->count;
	}
	free(watch);
}

static void enlist(struct watch_list *list, struct watch *watch)
{
	watch->list = list;
	watch->next = list->first;
	watch->link = &list->first;
	if (watch->next)
		watch->next->link = &watch->next;
	list->first = watch;
	list->paths += watch->count;
}

static enum mortise_status read_item(
	struct exchange *exchange, const struct wire_field *field, struct watched *watched)
{
	struct wire_message item;

	if (wire_parse_fields(field->bytes, field->size, &item) != MORTISE_OK ||
		!wire_has_fields(&item, WIRE_TAGS(WIRE_TAG_PATH, WIRE_TAG_VERSION), NULL) ||
		wire_number(&item, WIRE_TAG_VERSION, &watched->known) != MORTISE_OK)
		return exchange_fail(
			exchange, MORTISE_INVALID, "each item is a path and the version known");
	return exchange_path(exchange, wire_field_of(&item, WIRE_TAG_PATH), watched->path);
}

static enum mortise_status read_request(
	struct exchange *exchange, struct watch *watch, uint64_t *out_limit_ms)
{
	struct wire_list items = wire_list_of(exchange->request, WIRE_TAG_ITEMS);
	uint64_t limit_ms = LIMIT_MS;
	struct wire_field item;

	while (wire_list_next(&items, &item)) {
		if (watch->count == WIRE_WATCH_MAX)
			return exchange_fail(exchange, MORTISE_INVALID,
				"at most %d paths in one request", WIRE_WATCH_MAX);
		TRY(read_item(exchange, &item, &watch->paths[watch->count++]));
	}
	if (!wire_list_is_whole(&items) || watch->count == 0)
		return exchange_fail(exchange, MORTISE_INVALID, "the request names no path");
	if (wire_has(exchange->request, WIRE_TAG_NUMBER))
		TRY(wire_number(exchange->request, WIRE_TAG_NUMBER, &limit_ms));
	*out_limit_ms = limit_ms < LIMIT_MS ? limit_ms : LIMIT_MS;
	return MORTISE_OK;
}

/* The policy first: of who may not read it, the vault is not asked. */
static struct decision judge(const struct exchange *exchange, struct watched *watched)
{
	struct decision decision = exchange_may(exchange, exchange->operation->verb, watched->path);

	watched->status = MORTISE_DENIED;
	watched->current = 0;
	if (decision.allowed) {
		watched->current =
			vault_current(lifecycle_vault(exchange->agent->lifecycle), watched->path);
		watched->status = watched->current ? MORTISE_OK : MORTISE_NOT_FOUND;
	}
	watched->is_told = !decision.allowed || watched->current != watched->known;
	return decision;
}

/* A line for each path, once: what is told later are numbers of these. Is there one to tell? */
static bool judge_all(struct exchange *exchange, struct watch *watch)
{
	bool has_news = false;

	for (size_t i = 0; i < watch->count; i++) {
		struct watched *watched = &watch->paths[i];
		struct decision decision = judge(exchange, watched);
		exchange_record(exchange, watched->path, strlen(watched->path), watched->current,
			decision.rule, decision.allowed ? MORTISE_OK : MORTISE_DENIED);
		has_news = has_news || watched->is_told;
	}
	exchange->is_silent = true;
	return has_news;
}

static void put_news(struct wire_writer *reply, const void *context)
{
	const struct watch *watch = context;
	size_t list = wire_list_begin(reply, WIRE_TAG_ITEMS);

	for (size_t i = 0; i < watch->count; i++) {
		const struct watched *watched = &watch->paths[i];
		if (!watched->is_told)
			continue;
		size_t item = wire_item_begin(reply);
		wire_put_text(reply, WIRE_TAG_PATH, watched->path);
		if (watched->status != MORTISE_DENIED)
			wire_put_number(reply, WIRE_TAG_VERSION, watched->current);
		wire_put_number(reply, WIRE_TAG_STATUS, watched->status);
		wire_item_end(reply, item);
	}
	wire_list_end(reply, list);
}

static bool has_room(const struct agent *agent, const struct watch *watch)
{
	const struct watch_list *list = &agent->watches;
	size_t share = watch->count;

	if (list->paths + watch->count > WATCHED_MAX)
		return false;
	if (watch->uid == 0 || watch->uid == agent->agent_uid)
		return true;
	for (const struct watch *at = list->first; at; at = at->next)
		share += at->uid == watch->uid ? at->count : 0;
	return share <= WATCHED_MAX / SHARE_OF_ONE_UID;
}

static enum mortise_status start(
	struct exchange *exchange, struct watch *watch, uint64_t limit_ms, bool *out_waits)
{
	if (judge_all(exchange, watch) || limit_ms == 0) {
		put_news(exchange->reply, watch);
		return MORTISE_OK;
	}
	watch->uid = exchange->from->caller.subject.uid;
	watch->until_ms = clock_steady_us() / 1000 + limit_ms;
	if (!has_room(exchange->agent, watch))
		return exchange_fail(exchange, MORTISE_BUSY,
			"%d paths are watched at most, and %d of one user; watch fewer, or wait",
			WATCHED_MAX, WATCHED_MAX / SHARE_OF_ONE_UID);
	TRY(pending_new(exchange, watch, drop, &watch->pending));
	enlist(&exchange->agent->watches, watch);
	*out_waits = true;
	return MORTISE_OK;
}

enum mortise_status request_watch(struct exchange *exchange)
{
	struct watch *watch = calloc(1, sizeof *watch);
	uint64_t limit_ms = 0;
	bool waits = false;

	if (!watch)
		return MORTISE_BUSY;
	enum mortise_status status = read_request(exchange, watch, &limit_ms);
	if (status == MORTISE_OK)
		status = start(exchange, watch, limit_ms, &waits);
	if (!waits)
		drop(watch);
	return status;
}

/* Whose right is gone is denied on record; nothing was told about that path. */
static bool look(struct exchange *exchange, struct watch *watch, bool is_policy_new)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	bool has_news = false;

	for (size_t i = 0; i < watch->count; i++) {
		struct watched *watched = &watch->paths[i];
		watched->is_told = false;
		if (!is_policy_new && vault_current(vault, watched->path) == watched->known)
			continue;
		struct decision decision = judge(exchange, watched);
		if (!decision.allowed)
			exchange_record(exchange, watched->path, strlen(watched->path), 0,
				decision.rule, MORTISE_DENIED);
		has_news = has_news || watched->is_told;
	}
	return has_news;
}

/* A new policy may ask what nobody has asked about this caller yet. */
static bool has_to_wait(struct agent *agent, struct watch *watch)
{
	struct requester *from = watch->pending->from;

	return requester_wants_exe(agent, from) &&
	       evidence_await_exe(agent->evidence, &from->caller, NULL, NULL);
}

/* An heir of the connection is told nothing. */
static void tell(struct agent *agent, struct watch *watch, bool is_policy_new)
{
	struct pending *pending = watch->pending;
	bool is_anew = is_policy_new || watch->is_unjudged;
	struct exchange exchange = {.agent = agent,
		.from = pending->from,
		.operation = pending->operation,
		.now = clock_now()};

	watch->is_unjudged = false;
	if (!pending->from || !caller_is_alive(&pending->from->caller))
		pending_finish(pending, MORTISE_DENIED, "", NULL, NULL);
	else if (has_to_wait(agent, watch))
		watch->is_unjudged = agent->watches.has_unjudged = true;
	else if (look(&exchange, watch, is_anew))
		pending_finish(pending, MORTISE_OK, "", put_news, watch);
}

/* Those that waited long enough, and those that nobody waits for. */
static void sweep(struct agent *agent, uint64_t now)
{
	struct watch *next;

	for (struct watch *at = agent->watches.first; at; at = next) {
		struct pending *pending = at->pending;
		next = at->next;
		if (now >= at->until_ms || !pending->from ||
			!agent->outlet.is_waiting(agent->outlet.context, pending->from))
			pending_finish(pending, MORTISE_OK, "", put_news, at);
	}
}

void request_tell_watchers(struct agent *agent)
{
	struct vault *vault = lifecycle_vault(agent->lifecycle);
	struct watch_list *list = &agent->watches;
	uint64_t now = clock_steady_us() / 1000;
	struct watch *next;

	if (!vault || !list->first)
		return;
	bool is_policy_new = list->policy_version != agent->policy_version ||
			     list->disabled_rules != agent->names.disabled_rules;
	bool has_news =
		is_policy_new || list->has_unjudged || list->changes != vault_changes(vault);
	list->has_unjudged = false;
	list->changes = vault_changes(vault);
	list->policy_version = agent->policy_version;
	list->disabled_rules = agent->names.disabled_rules;
	for (struct watch *at = has_news ? list->first : NULL; at; at = next) {
		next = at->next;
		tell(agent, at, is_policy_new);
	}
	if (now - list->swept_ms < SWEEP_MS)
		return;
	list->swept_ms = now;
	sweep(agent, now);
}

void request_end_watches(struct agent *agent)
{
	while (agent->watches.first)
		pending_finish(agent->watches.first->pending, MORTISE_SEALED, "", NULL, NULL);
}
