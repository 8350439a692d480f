/* SPDX-License-Identifier: ISC */
#include "metadata.h"

#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "output.h"
#include "shown.h"
#include "when.h"

#define MICROS UINT64_C(1000000)

/* When the current version was made; 0: there is none. */
static uint64_t current_time_us(const struct wire_message *reply)
{
	struct wire_list versions = wire_list_of(reply, WIRE_TAG_ITEMS);
	uint64_t current = ask_number(reply, WIRE_TAG_VERSION, 0);
	struct wire_message item;

	while (ask_next(&versions, &item))
		if (ask_number(&item, WIRE_TAG_VERSION, 0) == current)
			return ask_number(&item, WIRE_TAG_TIME, 0);
	return 0;
}

static uint64_t due_us(const struct wire_message *reply)
{
	uint64_t max_age_s = ask_number(reply, WIRE_TAG_MAX_AGE, 0);
	uint64_t made_us = current_time_us(reply);

	return max_age_s && made_us ? made_us + max_age_s * MICROS : 0;
}

static void print_text(const char *name, const struct wire_message *reply, enum wire_tag tag)
{
	char text[WIRE_TEXT_MAX];

	if (wire_text(reply, tag, text, sizeof text) != MORTISE_OK || text[0] == '\0')
		return;
	printf("  %-8s ", name);
	output_text(text);
	(void)putchar('\n');
}

static void print_age(const struct wire_message *reply)
{
	uint64_t due = due_us(reply);
	char age[WHEN_TEXT_SIZE], when[WHEN_TEXT_SIZE];

	if (!wire_has(reply, WIRE_TAG_MAX_AGE))
		return;
	when_format_seconds(ask_number(reply, WIRE_TAG_MAX_AGE, 0), age);
	when_format_local(due, when);
	printf("  %-8s %s", "max-age", age);
	if (due)
		printf(", %s %s", due < when_now_us() ? "overdue since" : "due", when);
	(void)putchar('\n');
}

void metadata_print(const struct wire_message *reply)
{
	struct wire_list pairs = wire_list_of(reply, WIRE_TAG_META);
	struct wire_field pair;
	char text[WIRE_TEXT_MAX];

	print_text("note", reply, WIRE_TAG_NOTE);
	print_age(reply);
	print_text("hook", reply, WIRE_TAG_HOOK);
	if (wire_has(reply, WIRE_TAG_TOTAL))
		printf("  %-8s %llu versions\n", "keeps",
			(unsigned long long)ask_number(reply, WIRE_TAG_TOTAL, 0));
	while (wire_list_next(&pairs, &pair)) {
		(void)snprintf(text, sizeof text, "%.*s", (int)pair.size, (const char *)pair.bytes);
		printf("  ");
		output_text(text);
		(void)putchar('\n');
	}
}

static void put_pairs(const struct wire_message *reply, json_t *object)
{
	struct wire_list pairs = wire_list_of(reply, WIRE_TAG_META);
	json_t *all = json_object();
	struct wire_field pair;

	while (wire_list_next(&pairs, &pair)) {
		const uint8_t *equals = memchr(pair.bytes, '=', pair.size);
		char key[WIRE_TEXT_MAX];

		if (equals == NULL)
			continue;
		(void)shown_text(pair.bytes, (size_t)(equals - pair.bytes), key, sizeof key);
		(void)json_object_set_new(all, key,
			output_json_shown(
				equals + 1, pair.size - (size_t)(equals - pair.bytes) - 1));
	}
	(void)json_object_set_new(object, "meta", all);
}

static void put_text(
	const struct wire_message *reply, enum wire_tag tag, const char *name, json_t *object)
{
	const struct wire_field *field = &reply->field[tag];

	if (field->size > 0)
		(void)json_object_set_new(
			object, name, output_json_shown(field->bytes, field->size));
}

void metadata_put(const struct wire_message *reply, json_t *object)
{
	uint64_t due = due_us(reply);
	char when[WHEN_TEXT_SIZE];

	if (object == NULL)
		return;
	put_text(reply, WIRE_TAG_NOTE, "note", object);
	put_text(reply, WIRE_TAG_HOOK, "hook", object);
	if (wire_has(reply, WIRE_TAG_MAX_AGE))
		(void)json_object_set_new(object, "max_age",
			output_json_number(ask_number(reply, WIRE_TAG_MAX_AGE, 0)));
	when_format_utc(due, when);
	if (due)
		(void)json_object_set_new(object, "due", json_string(when));
	if (wire_has(reply, WIRE_TAG_TOTAL))
		(void)json_object_set_new(
			object, "keep", output_json_number(ask_number(reply, WIRE_TAG_TOTAL, 0)));
	put_pairs(reply, object);
}
