/* SPDX-License-Identifier: ISC */
/*
 * What a store lives through in the tests that cut it off: steps, each of which is done or not, and
 * what all there is to be read comes to after each of them.
 */
#ifndef MORTISE_CRASH_FIXTURE_H
#define MORTISE_CRASH_FIXTURE_H

#include "vault_fixture.h"

#define CRASH_SLICES 100000   /* more than any rekey here takes */
#define CRASH_TEXT   8192     /* bytes of what a store comes to */
#define CRASH_GONE   "prod/b" /* destroyed in the step before CRASH_GONE_FROM */

enum { CRASH_STEPS = 13, CRASH_GONE_FROM = 6 };

static inline enum mortise_status crash_work(struct fixture *fixture, unsigned slices, unsigned us)
{
	for (unsigned i = 0; i < slices && vault_has_work(fixture->vault); i++)
		TRY(vault_work(fixture->vault, us));
	return MORTISE_OK;
}

static inline enum mortise_status crash_batch(struct fixture *fixture)
{
	static const char *const paths[] = {"prod/b", "prod/c", "batch/1", "batch/2", "batch/3"};
	enum { COUNT = sizeof paths / sizeof paths[0] };
	struct vault_outcome outcomes[COUNT];
	struct vault_write writes[COUNT];

	for (size_t i = 0; i < COUNT; i++)
		writes[i] = a_write(fixture, paths[i], "of a batch", 10);
	return vault_write_all(fixture->vault, writes, COUNT, outcomes);
}

/* All or none of them are acknowledged. */
static inline enum mortise_status crash_group(struct fixture *fixture)
{
	static const char *const paths[] = {"prod/a", "group/1", "prod/c", "group/1"};

	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		struct vault_write write = a_write(fixture, paths[i], "of a group", 10);
		struct vault_outcome outcome;
		write.joins = true;
		TRY(vault_write(fixture->vault, &write, &outcome));
	}
	return vault_end_group(fixture->vault);
}

static inline enum mortise_status crash_step(struct fixture *fixture, unsigned step)
{
	struct vault_outcome outcome;

	switch (step) {
	case 0:
		return set(fixture, "prod/a", "one more");
	case 1:
		return set(fixture, "prod/new", "the first");
	case 2:
		return crash_batch(fixture);
	case 3:
		return vault_destroy(fixture->vault, "prod/c", 1, &outcome);
	case 4:
		return vault_set_deleted(fixture->vault, CRASH_GONE, true, 1000, &outcome);
	case CRASH_GONE_FROM - 1:
		return vault_destroy_all(fixture->vault, CRASH_GONE, &outcome);
	case 6:
		return vault_forget_old(fixture->vault);
	case 7: /* part of a rekey */
		TRY(vault_rekey(fixture->vault, false));
		return crash_work(fixture, 4, 0);
	case 8:
		return set(fixture, "prod/a", "in a rekey");
	case 9:
		return crash_work(fixture, CRASH_SLICES, 0);
	case 10:
		TRY(vault_rekey(fixture->vault, true));
		return crash_work(fixture, CRASH_SLICES, 1000000);
	case 11:
		return crash_group(fixture);
	default:
		return set(fixture, "prod/new", "the last");
	}
}

struct crash_text {
	char text[CRASH_TEXT];
	size_t size;
};

static inline void crash_say(struct crash_text *to, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static inline void crash_say(struct crash_text *to, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int size = vsnprintf(to->text + to->size, CRASH_TEXT - to->size, format, arguments);
	va_end(arguments);
	assert_in_range(size, 0, CRASH_TEXT - to->size - 1);
	to->size += (size_t)size;
}

/* Every secret, every version, every value. */
static inline void crash_tell(struct fixture *fixture, struct crash_text *out)
{
	struct vault_version versions[VAULT_VERSIONS_MAX];
	struct vault_head head;
	size_t count;

	out->size = 0;
	for (uint64_t number = 0;
		vault_next(fixture->vault, number, &number, &head) == MORTISE_OK;) {
		crash_say(out, "%llu %s %s%llu:", (unsigned long long)number, head.path,
			head.deleted_us ? "deleted " : "", (unsigned long long)head.current);
		assert_int_equal(
			vault_show(fixture->vault, head.path, &head, versions, &count), MORTISE_OK);
		for (size_t i = 0; i < count; i++) {
			CLEANUP(secret_drop) struct secret *value = NULL;
			enum mortise_status status =
				get_version(fixture, head.path, versions[i].number, &value);
			assert_int_equal(status, head.deleted_us ? MORTISE_NOT_FOUND : MORTISE_OK);
			crash_say(out, " %llu=%.*s", (unsigned long long)versions[i].number,
				value ? (int)value->size : 0,
				value ? (const char *)value->bytes : "");
		}
		crash_say(out, "\n");
	}
}

/* What a store comes to before the first step and after each. */
struct crash_story {
	struct crash_text after[CRASH_STEPS + 1];
};

/*
 * Opens what is left, as a restarted agent does. It has to be what it was before the step, or what
 * that made of it, and whole.
 */
static inline void crash_assert_opens(
	struct fixture *fixture, const struct crash_story *story, unsigned steps_done)
{
	static struct crash_text found;
	char complaint[VAULT_PATH_SIZE + 96] = "it does not open";
	size_t values;

	if (reopen_by_slot(fixture, 1) != MORTISE_OK ||
		crash_work(fixture, CRASH_SLICES, 1000000) != MORTISE_OK ||
		verify_all(fixture, &values, complaint, sizeof complaint) != MORTISE_OK)
		fail_msg("after step %u: %s", steps_done, complaint);
	crash_tell(fixture, &found);
	if (strcmp(found.text, story->after[steps_done].text) != 0 &&
		(steps_done == CRASH_STEPS ||
			strcmp(found.text, story->after[steps_done + 1].text) != 0))
		fail_msg("after step %u there is\n%s", steps_done, found.text);
}

/* A number of the environment's, for runs that take longer. */
static inline unsigned crash_number(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

#endif
