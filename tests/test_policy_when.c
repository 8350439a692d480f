/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "mortise_test.h"
#include "policy_when.h"

/* Monday 2026-11-23, midnight in UTC; Berlin is an hour ahead then. */
#define MONDAY ((time_t)1795392000)
#define HOUR   3600

static time_t instant(const char *text)
{
	time_t value = -1;

	return when_read_instant(text, strlen(text), &value) ? value : -1;
}

static struct hours hours(const char *text)
{
	struct hours value = {0};

	assert_true(when_read_hours(text, strlen(text), &value));
	return value;
}

static bool is_hours(const char *text)
{
	struct hours value;

	return when_read_hours(text, strlen(text), &value);
}

static unsigned days(const char *text)
{
	uint8_t value = 0;

	return when_read_days(text, strlen(text), &value) ? value : 0;
}

static bool in(const char *text, time_t now)
{
	struct hours value = hours(text);
	struct clock clock = {.now = now};

	return when_in_hours(&value, 1, &clock);
}

static bool on(const char *days_text, const char *hours_text, time_t now)
{
	struct clock clock = {.now = now};
	struct hours value = hours_text ? hours(hours_text) : (struct hours){0};

	return when_on_days((uint8_t)days(days_text), &value, hours_text != NULL, &clock);
}

static void instants_are_read_in_their_zone(void **state)
{
	(void)state;
	assert_int_equal(instant("2026-11-23Z"), MONDAY);
	assert_int_equal(instant("2026-11-23"), MONDAY - HOUR);
	assert_int_equal(instant("2026-11-23T12:30Z"), MONDAY + 12 * HOUR + 1800);
	assert_int_equal(instant("2026-11-23T12:30:15Z"), MONDAY + 12 * HOUR + 1815);
	assert_int_equal(instant("2026-07-01T00:00"), instant("2026-06-30T22:00Z"));
	assert_int_equal(instant("2028-02-29Z"), instant("2028-03-01Z") - 24 * HOUR);
}

static void what_is_no_instant_is_refused(void **state)
{
	static const char *const texts[] = {"", "2026", "2026-11-23z", "2026-11-23T", "2026-13-01",
		"2026-00-01", "2026-11-00", "2026-11-31", "2027-02-29Z", "1969-12-31Z",
		"3000-01-01", "2026-11-23T24:00", "2026-11-23T12:60", "2026-11-23 12:00",
		"2026-11-23T12:00:60", "26-11-23", "2026-11-23T12:00ZZ", "+026-11-23"};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_int_equal(instant(texts[i]), -1);
}

static void what_are_no_hours_is_refused(void **state)
{
	static const char *const texts[] = {"", "2:30-04:30", "02:30", "02:30-", "02:30-24:01",
		"25:00-26:00", "02:30-02:30", "24:00-02:00", "00:00-00:00", "02:60-03:00",
		"02:30-04:30z", "02:30-04:30Z+", "02.30-04.30", "02:30--4:30"};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_false(is_hours(texts[i]));
	assert_true(is_hours("00:00-24:00"));
	assert_true(is_hours("22:00-00:00"));
}

static void hours_end_before_their_end(void **state)
{
	(void)state;
	assert_false(in("02:30-04:30Z", MONDAY + 2 * HOUR + 1799));
	assert_true(in("02:30-04:30Z", MONDAY + 2 * HOUR + 1800));
	assert_true(in("02:30-04:30Z", MONDAY + 4 * HOUR + 1799));
	assert_false(in("02:30-04:30Z", MONDAY + 4 * HOUR + 1800));
}

static void hours_go_across_midnight(void **state)
{
	(void)state;
	assert_true(in("22:00-01:00Z", MONDAY + 23 * HOUR));
	assert_true(in("22:00-01:00Z", MONDAY));
	assert_false(in("22:00-01:00Z", MONDAY + HOUR));
	assert_false(in("22:00-01:00Z", MONDAY + 21 * HOUR));
	assert_true(in("22:00-00:00Z", MONDAY + 23 * HOUR));
	assert_false(in("22:00-00:00Z", MONDAY));
}

static void hours_without_z_are_the_host_s(void **state)
{
	(void)state;
	assert_true(in("02:30-04:30", MONDAY + HOUR + 1800));
	assert_false(in("02:30-04:30", MONDAY + 3 * HOUR + 1800));
	assert_true(in("02:30-04:30", instant("2026-07-01T02:30")));
}

static void days_are_read(void **state)
{
	(void)state;
	assert_int_equal(days("sun"), 1);
	assert_int_equal(days("mon-fri"), 0x3e);
	assert_int_equal(days("sat-mon"), 0x43);
	assert_int_equal(days("mon-mon"), 0);
	assert_int_equal(days("Mon"), 0);
	assert_int_equal(days("monday"), 0);
	assert_int_equal(days("mon-"), 0);
	assert_int_equal(days(""), 0);
}

static void a_day_is_the_host_s_without_hours(void **state)
{
	(void)state;
	assert_true(on("mon", NULL, MONDAY - HOUR));
	assert_false(on("mon", NULL, MONDAY + 23 * HOUR));
	assert_true(on("tue", NULL, MONDAY + 23 * HOUR));
}

static void a_day_is_that_of_the_hours_zone(void **state)
{
	(void)state;
	assert_true(on("mon", "23:00-24:00Z", MONDAY + 23 * HOUR));
	assert_false(on("tue", "23:00-24:00Z", MONDAY + 23 * HOUR));
}

static void hours_across_midnight_belong_to_the_day_they_begin(void **state)
{
	(void)state;
	assert_true(on("sun", "22:00-02:00Z", MONDAY + HOUR));
	assert_false(on("mon", "22:00-02:00Z", MONDAY + HOUR));
	assert_true(on("mon", "22:00-02:00Z", MONDAY + 23 * HOUR));
	assert_true(on("sat", "22:00-02:00Z", MONDAY - 23 * HOUR));
}

static bool covers(const char *wide, const char *narrow)
{
	struct hours a = hours(wide), b = hours(narrow);

	return when_hours_cover(&a, &b);
}

static void hours_cover_their_parts(void **state)
{
	(void)state;
	assert_true(covers("02:00-05:00", "02:30-04:30"));
	assert_true(covers("22:00-03:00", "23:00-01:00"));
	assert_true(covers("22:00-03:00", "01:00-03:00"));
	assert_true(covers("00:00-24:00", "22:00-01:00"));
	assert_false(covers("22:00-03:00", "21:00-01:00"));
	assert_false(covers("02:00-05:00", "05:00-02:00"));
	assert_false(covers("02:00-05:00", "02:30-04:30Z"));
	assert_false(covers("02:00-05:00", "00:00-24:00"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instants_are_read_in_their_zone),
		cmocka_unit_test(what_is_no_instant_is_refused),
		cmocka_unit_test(what_are_no_hours_is_refused),
		cmocka_unit_test(hours_end_before_their_end),
		cmocka_unit_test(hours_go_across_midnight),
		cmocka_unit_test(hours_without_z_are_the_host_s),
		cmocka_unit_test(days_are_read),
		cmocka_unit_test(a_day_is_the_host_s_without_hours),
		cmocka_unit_test(a_day_is_that_of_the_hours_zone),
		cmocka_unit_test(hours_across_midnight_belong_to_the_day_they_begin),
		cmocka_unit_test(hours_cover_their_parts),
	};

	(void)setenv("TZ", "Europe/Berlin", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
