/* SPDX-License-Identifier: ISC */
/* `policy check`, `policy who` and `policy may`: what the rules say of somebody, or of a path. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange.h"
#include "little_endian.h"
#include "policy_answers.h"
#include "processes.h"

/*
 * Of whom an admin asks what the policy says. The names among his attributes are looked up before
 * it is judged. What cannot be had about anybody here is no fact about those who are supposed
 * either.
 */

#define SUPPOSE_GROUPS_MAX 16 /* names in GROUP */

struct supposed {
	/* Set by the handler. What nobody said is no fact, not one that no rule names. */
	bool leaves_ungathered;
	/* Once all names are known, in the policy of that moment. */
	enum mortise_status (*judge)(struct supposed *supposed);
	void (*put)(struct wire_writer *reply, const void *owner);
	void (*release)(void *owner);
	void *owner; /* the request that it is part of */

	struct agent *agent;
	struct requester *from; /* while it judges; NULL: the connection ended */
	const struct operation *operation;
	struct clock_now now;
	char user[64];                   /* "": who asks */
	char text[WIRE_TEXT_MAX];        /* of a failure */
	const struct entrance *entrance; /* the listener; NULL: not said (leaves_ungathered) */
	struct subject subject;

	/* suppose's own */
	struct pending *pending;
	char group_names[WIRE_TEXT_MAX];
	uint32_t *groups;
	char *facts[ATTRIBUTE_COUNT];
};

static const struct {
	enum attribute attribute;
	unsigned tag;
} facts[] = {
	{ATTRIBUTE_UNIT, WIRE_TAG_UNIT},
	{ATTRIBUTE_EXE, WIRE_TAG_EXE},
	{ATTRIBUTE_LABEL, WIRE_TAG_LABEL},
};

/* Frees what hangs on it. */
static void suppose_done(struct supposed *supposed)
{
	for (size_t i = 0; i < ATTRIBUTE_COUNT; i++)
		free(supposed->facts[i]);
	free(supposed->groups);
}

/* "backup (uid 34)", or "uid 34" */
static void suppose_name(const struct supposed *supposed, char *out_text, size_t size)
{
	if (supposed->user[0])
		(void)snprintf(
			out_text, size, "%s (uid %u)", supposed->user, supposed->subject.uid);
	else
		(void)snprintf(out_text, size, "uid %u", supposed->subject.uid);
}

static struct fact *place_of(struct subject *subject, enum attribute attribute)
{
	return &subject->facts[attribute - ATTRIBUTE_FACTS];
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

static bool can_be_had(const struct exchange *exchange, enum attribute attribute)
{
	return evidence_is_there(exchange->agent->evidence, &exchange->from->caller, attribute);
}

static enum mortise_status take_fact(struct exchange *exchange, struct supposed *supposed,
	enum attribute attribute, unsigned tag)
{
	struct fact *place = place_of(&supposed->subject, attribute);
	char text[SUBJECT_NAMES_MAX], names[SUBJECT_NAMES_MAX];

	if (!wire_has(exchange->request, tag))
		return MORTISE_OK;
	if (wire_field_of(exchange->request, tag)->size >= sizeof text)
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
				     : agent->outlet.find_entrance(agent->outlet.context, name);
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
		groups[(*have)++] = le32_get(ids);
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
		wire_number(out_fields, PROCESS_TAG_STATUS, &status) != MORTISE_OK)
		return MORTISE_IO;
	if (status != MORTISE_OK)
		return status == MORTISE_NOT_FOUND ? MORTISE_NOT_FOUND : MORTISE_IO;
	if (wire_number(out_fields, PROCESS_TAG_NUMBER, &id) != MORTISE_OK || id > UINT32_MAX)
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
		const struct wire_field *ids =
			status == MORTISE_OK ? wire_field_of(&fields, PROCESS_TAG_IDS) : NULL;
		if (ids)
			TRY(take_groups(supposed, ids->bytes, ids->size / sizeof id, &have));
	}
	if (status == MORTISE_OK && supposed->group_names[0])
		have = 0;
	for (const char *at = supposed->group_names; *at && status == MORTISE_OK;) {
		missing = at;
		kind = "group";
		status = next_name(list, &id, &fields);
		uint8_t bytes[4];
		le32_put(bytes, id);
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
		struct wire_list list = wire_list_of(answer, PROCESS_TAG_ITEMS);
		status = take_names(supposed, &list);
	}
	if (status == MORTISE_OK)
		status = supposed->agent->policy ? supposed->judge(supposed) : MORTISE_SEALED;
	pending_finish(pending, status, supposed->text, supposed->put, supposed->owner);
}

static enum mortise_status ask_names(struct exchange *exchange, struct supposed *supposed)
{
	struct monitor_link *monitor = exchange->agent->monitor;

	TRY(pending_new(exchange, supposed->owner, supposed->release, &supposed->pending));
	struct wire_writer *writer = monitor_begin(monitor, PROCESS_RESOLVE);
	size_t list = wire_list_begin(writer, PROCESS_TAG_USERS);
	if (supposed->user[0])
		wire_item_put(writer, supposed->user, strlen(supposed->user));
	wire_list_end(writer, list);
	list = wire_list_begin(writer, PROCESS_TAG_GROUPS);
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
		supposed->put(exchange->reply, supposed->owner);
	else if (supposed->text[0])
		return exchange_fail(exchange, status, "%s", supposed->text);
	return status;
}

/*
 * Reads the attributes, has names looked up, judges and answers. Owns supposed from now on, which
 * release() frees (after suppose_done()). Returns what the handler returns.
 */
static enum mortise_status suppose_start(struct exchange *exchange, struct supposed *supposed)
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
	supposed->release(supposed->owner);
	return status;
}

/* `policy check`: may someone, and why. What the agent itself would ask: listener, then policy. */

#define TIME_MAX_US UINT64_C(253402300800000000) /* the end of the year 9999 */

struct checking {
	struct supposed supposed; /* first: it is this by another name */
	enum verb verb;
	char path[MORTISE_PATH_MAX + 1];
	uint64_t at_us; /* 0: now */

	bool is_allowed, is_kept_out; /* by the listener */
	struct policy_explanation explanation;
};

static void checking_free(void *context)
{
	struct checking *checking = context;

	suppose_done(&checking->supposed);
	free(checking);
}

static void put_reason(const struct checking *checking, char *text, size_t size)
{
	const struct decision *decision = &checking->explanation.decision;
	const struct rate_limit *rate = &decision->rate;
	char unknown[80];

	policy_explain_unknown(&checking->explanation, unknown, sizeof unknown);
	if (checking->is_kept_out)
		(void)snprintf(text, size, "the listener %s does not take the verb %s",
			checking->supposed.entrance->name, verb_name(checking->verb));
	else if (!decision->rule)
		(void)snprintf(text, size, "%s",
			checking->explanation.is_nobody ? policy_nobody : "no rule allows it");
	else if (decision->allowed && rate->count)
		(void)snprintf(text, size, "rule %s, at most %u/%s", decision->rule, rate->count,
			rate->period_s == 60     ? "min"
			: rate->period_s == 3600 ? "h"
						 : "d");
	else
		(void)snprintf(text, size, "rule %s%s%s", decision->rule,
			decision->allowed ? "" : " denies it", unknown);
}

static void put_near(struct wire_writer *reply, const struct policy_explanation *explanation)
{
	size_t list = wire_list_begin(reply, WIRE_TAG_ITEMS);

	for (size_t i = 0; i < explanation->near_count; i++) {
		size_t item = wire_item_begin(reply);
		wire_put_text(reply, WIRE_TAG_TEXT, explanation->near[i].why);
		wire_put_text(reply, WIRE_TAG_RULE, explanation->near[i].rule);
		wire_item_end(reply, item);
	}
	wire_list_end(reply, list);
}

static void put_verdict(struct wire_writer *reply, const void *context)
{
	const struct checking *checking = context;
	const struct policy_explanation *explanation = &checking->explanation;
	char who[96], reason[256], text[WIRE_TEXT_MAX];

	suppose_name(&checking->supposed, who, sizeof who);
	put_reason(checking, reason, sizeof reason);
	(void)snprintf(text, sizeof text, "%s %s %s%s%s: %s", who,
		checking->is_allowed ? "may" : "may not", verb_name(checking->verb),
		checking->path[0] ? " " : "", checking->path, reason);
	wire_put_text(reply, WIRE_TAG_TEXT, text);
	if (!checking->is_kept_out && explanation->near_count)
		put_near(reply, explanation);
	wire_put_number(reply, WIRE_TAG_NUMBER, checking->is_allowed);
	if (!checking->is_kept_out && explanation->decision.rule)
		wire_put_text(reply, WIRE_TAG_RULE, explanation->decision.rule);
}

/* The rules' texts are the policy's, which stays until this is put. */
static enum mortise_status judge(struct supposed *supposed)
{
	struct checking *checking = supposed->owner;
	time_t at =
		checking->at_us ? (time_t)(checking->at_us / 1000000) : policy_time(&supposed->now);

	policy_explain(supposed->agent->policy, &supposed->subject, checking->verb,
		checking->path[0] ? checking->path : NULL, at, &checking->explanation);
	checking->is_kept_out = !(supposed->entrance->verbs & checking->verb);
	checking->is_allowed = !checking->is_kept_out && checking->explanation.decision.allowed;
	return MORTISE_OK;
}

static enum mortise_status read_checking(struct exchange *exchange, struct checking *checking)
{
	const struct wire_message *request = exchange->request;
	char verb[16], words[VERB_WORDS_SIZE];

	if (wire_text(request, WIRE_TAG_VERB, verb, sizeof verb) != MORTISE_OK ||
		!(checking->verb = verb_of_name(verb)))
		return exchange_fail(exchange, MORTISE_INVALID, "a verb is %s",
			verb_words(verbs_all(), "or", words));
	if (wire_has(request, WIRE_TAG_TIME) &&
		(wire_number(request, WIRE_TAG_TIME, &checking->at_us) != MORTISE_OK ||
			checking->at_us == 0 || checking->at_us >= TIME_MAX_US))
		return exchange_fail(
			exchange, MORTISE_INVALID, "not a time between 1970 and the year 9999");
	memcpy(checking->path, exchange->path, sizeof checking->path);
	return MORTISE_OK;
}

enum mortise_status request_policy_check(struct exchange *exchange)
{
	struct checking *checking = calloc(1, sizeof *checking);

	if (!checking)
		return MORTISE_BUSY;
	checking->supposed.owner = checking;
	checking->supposed.judge = judge;
	checking->supposed.put = put_verdict;
	checking->supposed.release = checking_free;
	enum mortise_status status = read_checking(exchange, checking);
	if (status == MORTISE_OK)
		return suppose_start(exchange, &checking->supposed);
	checking_free(checking);
	return status;
}

#define PAGE_BYTES  65536
#define GRANTS_MAX  500 /* on a page */
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

static void put_cut(struct wire_writer *items, unsigned tag, const char *text)
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

static enum mortise_status begin_page(struct exchange *exchange, struct page *page)
{
	const struct wire_field *cursor = wire_field_of(exchange->request, WIRE_TAG_CURSOR);

	page->items = (struct wire_writer){.bytes = page->bytes, .capacity = sizeof page->bytes};
	if (!cursor->bytes)
		return MORTISE_OK;
	if (cursor->size != CURSOR_SIZE)
		return exchange_fail(exchange, MORTISE_INVALID, "not a cursor of this agent");
	page->has_cursor = true;
	page->version = le64_get(cursor->bytes);
	page->place.rule = le32_get(cursor->bytes + 8);
	page->place.value = le32_get(cursor->bytes + 12);
	page->place.part = page->place.value >> PART_SHIFT;
	page->place.value &= (1u << PART_SHIFT) - 1;
	if (page->place.part > POLICY_DENIES)
		return exchange_fail(exchange, MORTISE_INVALID, "not a cursor of this agent");
	exchange_go_on(exchange, cursor->bytes, cursor->size);
	return MORTISE_OK;
}

static void write_cursor(const struct page *page, uint8_t cursor[CURSOR_SIZE])
{
	le64_put(cursor, page->version);
	le32_put(cursor + 8, page->place.rule);
	le32_put(cursor + 12, page->place.value | (uint32_t)page->place.part << PART_SHIFT);
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
	unsigned fitting = has_path ? verbs_of_secrets() : verbs_all() & ~verbs_of_secrets();
	unsigned verbs = fitting;
	char verb[16] = "", words[VERB_WORDS_SIZE];

	if (wire_has(exchange->request, WIRE_TAG_VERB)) {
		if (wire_text(exchange->request, WIRE_TAG_VERB, verb, sizeof verb) != MORTISE_OK)
			verb[0] = '\0';
		verbs = verb_of_name(verb) & fitting;
	}
	if (!verbs)
		return exchange_fail(exchange, MORTISE_INVALID, "%s a verb is %s",
			has_path ? "for a path" : "without a path",
			verb_words(fitting, "or", words));
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
	struct listing *listing = context;

	suppose_done(&listing->supposed);
	free(listing);
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
	struct listing *listing = supposed->owner;
	struct page *page = &listing->page;
	struct exchange exchange = {.from = supposed->from, .operation = supposed->operation};
	unsigned verbs = supposed->entrance ? supposed->entrance->verbs : verbs_all();

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
	listing->supposed.owner = listing;
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
