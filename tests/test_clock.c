/* SPDX-License-Identifier: ISC */
/* clock: which wall clock is believed, and what confirms it. */
#include <stdio.h>
#include <string.h>

#include <time.h>

#include "clock.h"
#include "mortise_test.h"

#define SECOND UINT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define YEAR   (365 * DAY)
#define TODAY  (UINT64_C(1795000000) * SECOND) /* in 2026 */
#define BOOT   "0f0e0d0c-0b0a-0908-0706-050403020100"
#define OTHER  "11111111-2222-3333-4444-555555555555"

/* A host: what its clocks say, and how an agent that goes on from a floor judges them. */
struct host {
	uint64_t wall_us, steady_us;
	bool is_synchronised;
	struct clock_judge judge;
};

static struct clock_reading read_host(const struct host *host)
{
	return (struct clock_reading){host->wall_us, host->steady_us, host->is_synchronised};
}

static enum clock_verdict judge(struct host *host)
{
	const struct clock_reading reading = read_host(host);

	return clock_judge_read(&host->judge, &reading);
}

/* Time goes by, and the agent looks at the clock each minute. */
static enum clock_verdict pass(struct host *host, uint64_t us)
{
	for (uint64_t gone = 0; gone < us; gone += MINUTE) {
		uint64_t step = us - gone < MINUTE ? us - gone : MINUTE;
		host->wall_us += step;
		host->steady_us += step;
		(void)judge(host);
	}
	return judge(host);
}

static uint64_t least(const struct host *host)
{
	const struct clock_reading reading = read_host(host);

	return clock_judge_least(&host->judge, &reading);
}

/* A host some seconds after its boot, whose agent knows of no time before; or of a floor. */
static struct host start(uint64_t wall_us, const struct clock_floor *floor)
{
	struct host host = {.wall_us = wall_us, .steady_us = 30 * SECOND};

	clock_judge_init(&host.judge, floor, BOOT);
	return host;
}

static struct clock_floor floor_of(uint64_t wall_us)
{
	struct clock_floor floor = {.wall_us = wall_us, .steady_us = 12345 * SECOND};

	strcpy(floor.boot, OTHER);
	return floor;
}

static void a_first_reading_is_believed_and_confirmed_after_ten_minutes(void **state)
{
	struct host host = start(TODAY, NULL);

	(void)state;
	assert_int_equal(judge(&host), CLOCK_BELIEVED);
	assert_int_equal(pass(&host, CLOCK_CONFIRM_S * SECOND - SECOND), CLOCK_BELIEVED);
	assert_int_equal(host.judge.floor.wall_us, 0);
	assert_int_equal(pass(&host, SECOND), CLOCK_BELIEVED);
	assert_int_equal(host.judge.floor.wall_us, TODAY);
	assert_int_equal(pass(&host, DAY), CLOCK_BELIEVED);
	assert_in_range(host.judge.floor.wall_us, TODAY + DAY - 10 * MINUTE, TODAY + DAY);
}

static void without_a_battery_nothing_is_believed_until_the_kernel_says_synchronised(void **state)
{
	const struct clock_floor floor = floor_of(TODAY);
	struct host host = start(20 * SECOND, &floor);

	(void)state;
	assert_int_equal(judge(&host), CLOCK_EARLY);
	assert_int_equal(pass(&host, HOUR), CLOCK_EARLY);
	assert_int_equal(host.judge.floor.wall_us, TODAY);
	assert_int_equal(least(&host), TODAY + host.steady_us);
	host.wall_us = TODAY + 40 * DAY;
	host.is_synchronised = true;
	assert_int_equal(judge(&host), CLOCK_BELIEVED);
	assert_int_equal(host.judge.floor.wall_us, TODAY + 40 * DAY);
	assert_int_equal(least(&host), host.wall_us);
}

static void a_start_in_2069_raises_no_floor_however_long_it_lasts(void **state)
{
	const struct clock_floor floor = floor_of(TODAY);
	struct host host = start(TODAY + 43 * YEAR, &floor);

	(void)state;
	assert_int_equal(judge(&host), CLOCK_AHEAD);
	assert_int_equal(pass(&host, 3 * DAY), CLOCK_AHEAD);
	assert_int_equal(host.judge.floor.wall_us, TODAY);
	assert_in_range(least(&host), TODAY + 3 * DAY, TODAY + 3 * DAY + MINUTE);
	host = start(TODAY + HOUR, &floor);
	assert_int_equal(judge(&host), CLOCK_BELIEVED);
}

static void a_clock_set_back_a_year_while_running_is_not_believed_until_it_is_right(void **state)
{
	struct host host = start(TODAY, NULL);

	(void)state;
	(void)pass(&host, HOUR);
	host.wall_us -= YEAR;
	assert_int_equal(pass(&host, DAY), CLOCK_BEHIND);
	assert_in_range(least(&host), TODAY + HOUR + DAY - 20 * MINUTE, TODAY + HOUR + DAY);
	host.wall_us += YEAR;
	assert_int_equal(judge(&host), CLOCK_BELIEVED);
}

static void a_jump_of_ten_years_while_running_is_not_believed_however_long(void **state)
{
	struct host host = start(TODAY, NULL);

	(void)state;
	(void)pass(&host, HOUR);
	host.wall_us += 10 * YEAR;
	assert_int_equal(pass(&host, 2 * DAY), CLOCK_AHEAD);
	host.wall_us -= 10 * YEAR;
	assert_int_equal(pass(&host, MINUTE), CLOCK_BELIEVED);
	assert_in_range(host.judge.floor.wall_us, TODAY, TODAY + 2 * DAY + HOUR);
}

static void it_is_not_even_in_the_first_ten_minutes(void **state)
{
	struct host host = start(TODAY, NULL);

	(void)state;
	(void)pass(&host, MINUTE);
	host.wall_us += 10 * YEAR;
	assert_int_equal(pass(&host, HOUR), CLOCK_AHEAD);
	assert_int_equal(host.judge.floor.wall_us, 0);
}

static void a_day_ahead_is_believed_and_a_second_more_is_not(void **state)
{
	const struct clock_floor floor = floor_of(TODAY);
	struct host host = start(TODAY + DAY + 30 * SECOND, &floor);

	(void)state;
	assert_int_equal(judge(&host), CLOCK_BELIEVED);
	host.wall_us += SECOND;
	assert_int_equal(judge(&host), CLOCK_AHEAD);
}

static void it_was_off_for_a_week_and_the_same_boot_knows_how_long(void **state)
{
	struct clock_floor floor = floor_of(TODAY);
	struct host host = start(TODAY + 7 * DAY, &floor);

	(void)state;
	assert_int_equal(judge(&host), CLOCK_AHEAD);
	strcpy(floor.boot, BOOT); /* only the agent was stopped */
	floor.steady_us = HOUR;
	host = start(TODAY + 7 * DAY, &floor);
	host.steady_us = HOUR + 7 * DAY;
	assert_int_equal(judge(&host), CLOCK_BELIEVED);
	assert_int_equal(least(&host), TODAY + 7 * DAY);
}

static void a_boot_without_an_id_is_taken_for_another(void **state)
{
	struct clock_floor floor = {.wall_us = TODAY, .steady_us = HOUR};
	struct host host = {.wall_us = TODAY + 7 * DAY, .steady_us = HOUR + 7 * DAY};

	(void)state;
	clock_judge_init(&host.judge, &floor, "");
	assert_int_equal(host.judge.floor.steady_us, 0);
}

static void a_leap_second_and_a_small_correction_are_no_step_back(void **state)
{
	struct host host = start(TODAY, NULL);

	(void)state;
	host.is_synchronised = true;
	(void)pass(&host, HOUR);
	assert_int_equal(host.judge.floor.wall_us, host.wall_us);
	host.wall_us -= SECOND;
	assert_int_equal(judge(&host), CLOCK_BELIEVED);
	host.is_synchronised = false;
	host.wall_us -= (CLOCK_SLACK_S - 1) * SECOND;
	assert_int_equal(judge(&host), CLOCK_BELIEVED);
	host.wall_us -= SECOND;
	assert_int_equal(judge(&host), CLOCK_BEHIND);
}

static void a_jump_that_is_taken_back_within_ten_minutes_confirms_nothing(void **state)
{
	struct host host = start(TODAY, NULL);

	(void)state;
	(void)pass(&host, HOUR);
	host.wall_us += 20 * HOUR;
	assert_int_equal(pass(&host, CLOCK_CONFIRM_S * SECOND - MINUTE), CLOCK_BELIEVED);
	host.wall_us -= 20 * HOUR;
	assert_int_equal(pass(&host, HOUR), CLOCK_BELIEVED);
	assert_true(host.judge.floor.wall_us <= host.wall_us);
}

static void a_synchronised_clock_is_believed_though_it_jumps_ahead_but_not_behind(void **state)
{
	const struct clock_floor floor = floor_of(TODAY);
	struct host host = start(TODAY + YEAR, &floor);

	(void)state;
	host.is_synchronised = true;
	assert_int_equal(judge(&host), CLOCK_BELIEVED);
	assert_int_equal(host.judge.floor.wall_us, TODAY + YEAR);
	host.wall_us = TODAY;
	assert_int_equal(judge(&host), CLOCK_BEHIND);
	assert_int_equal(host.judge.floor.wall_us, TODAY + YEAR);
	host.wall_us = 5 * SECOND;
	assert_int_equal(judge(&host), CLOCK_EARLY);
}

/* Nobody confirmed what was read first: the kernel's word may bring it back. */
static void what_was_only_assumed_gives_way_to_a_synchronised_clock(void **state)
{
	struct host host = start(TODAY + 43 * YEAR, NULL);

	(void)state;
	assert_int_equal(judge(&host), CLOCK_BELIEVED);
	host.wall_us = TODAY;
	assert_int_equal(judge(&host), CLOCK_BEHIND);
	host.is_synchronised = true;
	assert_int_equal(judge(&host), CLOCK_BELIEVED);
	assert_int_equal(host.judge.floor.wall_us, TODAY);
}

static void an_admins_word_moves_the_floor_either_way_but_never_before_2024(void **state)
{
	const struct clock_floor floor = floor_of(TODAY + 43 * YEAR);
	struct host host = start(TODAY, &floor);
	struct clock_reading reading = read_host(&host);

	(void)state;
	assert_int_equal(judge(&host), CLOCK_BEHIND);
	assert_true(clock_judge_accept(&host.judge, &reading));
	assert_int_equal(judge(&host), CLOCK_BELIEVED);
	assert_int_equal(host.judge.floor.wall_us, TODAY);
	host.wall_us += YEAR;
	assert_int_equal(judge(&host), CLOCK_AHEAD);
	reading = read_host(&host);
	assert_true(clock_judge_accept(&host.judge, &reading));
	assert_int_equal(judge(&host), CLOCK_BELIEVED);
	reading.wall_us = CLOCK_EARLIEST - 1;
	assert_false(clock_judge_accept(&host.judge, &reading));
	assert_int_equal(host.judge.floor.wall_us, TODAY + YEAR);
}

static void the_least_time_never_goes_back_while_the_clock_is_doubted(void **state)
{
	const struct clock_floor floor = floor_of(TODAY);
	struct host host = start(5 * SECOND, &floor);
	uint64_t before = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		host.wall_us = i % 3 == 0 ? 5 * SECOND : TODAY + (uint64_t)(i % 7) * YEAR + 2 * DAY;
		host.steady_us += MINUTE;
		if (judge(&host) == CLOCK_BELIEVED)
			fail_msg("believed at step %d", i);
		assert_true(least(&host) > before);
		before = least(&host);
	}
}

static void this_process_reads_the_hosts_clock_and_keeps_a_floor(void **state)
{
	struct clock_floor floor = {.wall_us = (uint64_t)time(NULL) * SECOND - 3 * HOUR}, taken;

	(void)state;
	clock_boot_id(floor.boot);
	clock_set_floor(&floor);
	struct clock_now now = clock_now();
	assert_true(now.is_believed);
	assert_int_equal(now.wall_us, now.least_us);
	assert_in_range(now.wall_us / SECOND, (uint64_t)time(NULL) - 1, (uint64_t)time(NULL) + 1);
	assert_int_equal(clock_report().verdict, CLOCK_BELIEVED);
	/* A floor is to be kept again once it is newer by so much. */
	assert_true(clock_accept());
	assert_false(clock_take_floor(4 * HOUR, &taken));
	assert_true(clock_take_floor(2 * HOUR, &taken));
	assert_true(taken.wall_us >= now.wall_us);
	assert_string_equal(taken.boot, floor.boot);
	assert_false(clock_take_floor(1, &taken));
}

static void a_floor_that_was_brought_back_is_taken_at_once(void **state)
{
	struct clock_floor floor = {.wall_us = (uint64_t)time(NULL) * SECOND + YEAR}, taken;

	(void)state;
	clock_set_floor(&floor);
	assert_false(clock_now().is_believed);
	assert_false(clock_is_believed());
	assert_false(clock_take_floor(1, &taken));
	assert_true(clock_accept());
	assert_true(clock_is_believed());
	assert_true(clock_take_floor(100 * YEAR, &taken));
	assert_true(taken.wall_us < floor.wall_us);
	clock_set_floor(NULL);
	assert_true(clock_now().is_believed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_first_reading_is_believed_and_confirmed_after_ten_minutes),
		cmocka_unit_test(
			without_a_battery_nothing_is_believed_until_the_kernel_says_synchronised),
		cmocka_unit_test(a_start_in_2069_raises_no_floor_however_long_it_lasts),
		cmocka_unit_test(
			a_clock_set_back_a_year_while_running_is_not_believed_until_it_is_right),
		cmocka_unit_test(a_jump_of_ten_years_while_running_is_not_believed_however_long),
		cmocka_unit_test(it_is_not_even_in_the_first_ten_minutes),
		cmocka_unit_test(a_day_ahead_is_believed_and_a_second_more_is_not),
		cmocka_unit_test(it_was_off_for_a_week_and_the_same_boot_knows_how_long),
		cmocka_unit_test(a_boot_without_an_id_is_taken_for_another),
		cmocka_unit_test(a_leap_second_and_a_small_correction_are_no_step_back),
		cmocka_unit_test(a_jump_that_is_taken_back_within_ten_minutes_confirms_nothing),
		cmocka_unit_test(
			a_synchronised_clock_is_believed_though_it_jumps_ahead_but_not_behind),
		cmocka_unit_test(what_was_only_assumed_gives_way_to_a_synchronised_clock),
		cmocka_unit_test(an_admins_word_moves_the_floor_either_way_but_never_before_2024),
		cmocka_unit_test(the_least_time_never_goes_back_while_the_clock_is_doubted),
		cmocka_unit_test(this_process_reads_the_hosts_clock_and_keeps_a_floor),
		cmocka_unit_test(a_floor_that_was_brought_back_is_taken_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
