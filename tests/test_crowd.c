/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "crowd.h"
#include "mortise_test.h"

#define ALICE  1000u
#define BACKUP 34u
#define ROOT   0u
#define MANY   900u

static struct crowd *crowd;
static uint64_t now_us; /* of all tests: whoever comes, comes later */

static int set_up(void **state)
{
	(void)state;
	return crowd_new(&crowd) == MORTISE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	crowd_free(crowd);
	return 0;
}

static void join(struct place *place, uint32_t uid)
{
	assert_int_equal(crowd_join(crowd, place, uid, uid == ROOT, ++now_us), MORTISE_OK);
}

static void join_many(struct place *places, size_t count, uint32_t uid)
{
	for (size_t i = 0; i < count; i++)
		join(&places[i], uid);
}

static void leave_many(struct place *places, size_t count)
{
	for (size_t i = 0; i < count; i++)
		crowd_leave(crowd, &places[i]);
}

static void stand_many(struct place *places, size_t count)
{
	for (size_t i = 0; i < count; i++)
		crowd_stand_in_line(crowd, &places[i]);
}

static bool is_among(const struct place *place, const struct place *places, size_t count)
{
	return place >= places && place < places + count;
}

/* Serves whoever is next for so long, and says who. */
static struct place *serve(uint64_t elapsed_us)
{
	struct place *place = crowd_next(crowd, now_us);

	assert_non_null(place);
	now_us += elapsed_us;
	crowd_charge(crowd, elapsed_us);
	return place;
}

static void who_comes_first_is_first_among_his_own(void **state)
{
	struct place places[3] = {0};

	(void)state;
	join_many(places, 3, ALICE);
	assert_null(crowd_next(crowd, now_us));
	crowd_stand_in_line(crowd, &places[2]);
	crowd_stand_in_line(crowd, &places[0]);
	crowd_stand_in_line(crowd, &places[2]); /* stands there */
	crowd_stand_in_line(crowd, &places[1]);
	assert_true(crowd_is_waiting(crowd));
	assert_ptr_equal(serve(1), &places[2]);
	assert_ptr_equal(serve(1), &places[0]);
	assert_ptr_equal(serve(1), &places[1]);
	assert_false(crowd_is_waiting(crowd));
	leave_many(places, 3);
}

/* The others are as many as you like: one comes after at most one frame of theirs. */
static void one_connection_waits_for_one_frame_of_a_uid_with_900(void **state)
{
	static struct place many[MANY];
	struct place one = {0};

	(void)state;
	join_many(many, MANY, ALICE);
	join(&one, BACKUP);
	for (unsigned round = 0; round < 1000; round++) {
		stand_many(many, MANY);
		(void)serve(3000);
		crowd_stand_in_line(crowd, &one);
		assert_ptr_equal(serve(20), &one);
	}
	leave_many(many, MANY);
	crowd_leave(crowd, &one);
}

/* Of two that always want to be served, each has half of the time, whatever a frame takes. */
static void time_is_shared_and_not_frames(void **state)
{
	struct place slow = {0}, quick = {0};
	uint64_t slow_us = 0, quick_us = 0;

	(void)state;
	join(&slow, ALICE);
	join(&quick, BACKUP);
	while (slow_us + quick_us < 10 * 1000 * 1000) {
		crowd_stand_in_line(crowd, &slow);
		crowd_stand_in_line(crowd, &quick);
		struct place *place = crowd_next(crowd, now_us);
		uint64_t elapsed_us = place == &slow ? 3000 : 7;
		*(place == &slow ? &slow_us : &quick_us) += elapsed_us;
		crowd_charge(crowd, elapsed_us);
	}
	assert_in_range(slow_us, 4900 * 1000, 5100 * 1000);
	crowd_leave(crowd, &slow);
	crowd_leave(crowd, &quick);
}

static void an_operator_has_half_of_the_time_among_sixty_uids(void **state)
{
	struct place others[60] = {0}, root = {0};
	uint64_t root_us = 0, other_us = 0;

	(void)state;
	for (uint32_t i = 0; i < 60; i++)
		join(&others[i], 2000 + i);
	join(&root, ROOT);
	while (root_us + other_us < 1000 * 1000) {
		stand_many(others, 60);
		crowd_stand_in_line(crowd, &root);
		*(serve(50) == &root ? &root_us : &other_us) += 50;
	}
	assert_in_range(root_us, 480 * 1000, 520 * 1000);
	leave_many(others, 60);
	crowd_leave(crowd, &root);
}

static void operators_cannot_starve_others(void **state)
{
	static struct place many[MANY];
	struct place one = {0};

	(void)state;
	join_many(many, MANY, ROOT);
	join(&one, BACKUP);
	for (unsigned round = 0; round < 1000; round++) {
		stand_many(many, MANY);
		(void)serve(3000);
		crowd_stand_in_line(crowd, &one);
		assert_ptr_equal(serve(20), &one);
	}
	leave_many(many, MANY);
	crowd_leave(crowd, &one);
}

/* Who connects anew for each request pays for the one before. */
static void a_debt_outlives_the_connection(void **state)
{
	struct place alice = {0}, backup = {0};

	(void)state;
	join(&backup, BACKUP);
	for (unsigned round = 0; round < 100; round++) {
		join(&alice, ALICE);
		crowd_stand_in_line(crowd, &alice);
		assert_ptr_equal(serve(3000), &alice);
		crowd_stand_in_line(crowd, &backup);
		crowd_leave(crowd, &alice);
		join(&alice, ALICE);
		crowd_stand_in_line(crowd, &alice);
		for (unsigned i = 0; i < 10; i++) {
			assert_ptr_equal(serve(200), &backup);
			crowd_stand_in_line(crowd, &backup);
		}
		crowd_leave(crowd, &alice);
		assert_ptr_equal(serve(200), &backup);
		assert_null(crowd_next(crowd, now_us)); /* nobody waits, and nobody owes */
	}
	crowd_leave(crowd, &backup);
}

static void what_is_charged_besides_counts_too(void **state)
{
	struct place alice = {0}, backup = {0};

	(void)state;
	join(&alice, ALICE);
	join(&backup, BACKUP);
	crowd_charge_place(crowd, &alice, 3000);
	crowd_stand_in_line(crowd, &alice);
	for (unsigned i = 0; i < 10; i++) {
		crowd_stand_in_line(crowd, &backup);
		assert_ptr_equal(serve(200), &backup);
	}
	crowd_leave(crowd, &alice);
	crowd_charge_place(crowd, &alice, 3000); /* it left */
	crowd_leave(crowd, &backup);
}

/* Whole seconds of debt are not collected: somebody's slow disk is not somebody's fault. */
static void a_debt_has_a_bound(void **state)
{
	struct place alice = {0}, backup = {0};
	unsigned waited = 0;

	(void)state;
	join(&alice, ALICE);
	join(&backup, BACKUP);
	crowd_charge_place(crowd, &alice, 5 * 1000 * 1000);
	crowd_stand_in_line(crowd, &alice);
	do {
		crowd_stand_in_line(crowd, &backup);
		waited++;
	} while (serve(200) != &alice);
	assert_in_range(waited, 50, 150);
	crowd_leave(crowd, &alice);
	crowd_leave(crowd, &backup);
}

static void the_uid_with_the_most_gives_up_its_quietest(void **state)
{
	struct place alice[8] = {0}, backup[4] = {0};

	(void)state;
	join_many(alice, 8, ALICE);
	join_many(backup, 4, BACKUP);
	assert_ptr_equal(crowd_yield(crowd, 2000, false), &alice[0]);
	crowd_stand_in_line(crowd, &alice[0]);
	assert_ptr_equal(serve(1), &alice[0]);
	assert_ptr_equal(crowd_yield(crowd, 2000, false), &alice[1]);
	alice[1].is_busy = true;
	assert_ptr_equal(crowd_yield(crowd, BACKUP, false), &alice[2]);
	for (unsigned i = 0; i < 8; i++)
		alice[i].is_busy = true;
	assert_ptr_equal(crowd_yield(crowd, BACKUP, false), &alice[1]);
	assert_null(crowd_yield(crowd, ALICE, false));
	leave_many(alice, 8);
	leave_many(backup, 4);
}

/* However many uids have one each, a newcomer has one too: the place that was quiet for longest. */
static void of_uids_with_as_many_the_quietest_gives_way(void **state)
{
	static struct place places[400];

	(void)state;
	for (uint32_t i = 0; i < 400; i++)
		join(&places[i], 100000 + i * 7);
	for (unsigned i = 0; i < 399; i++) {
		crowd_stand_in_line(crowd, &places[i]);
		assert_ptr_equal(serve(1), &places[i]);
	}
	assert_ptr_equal(crowd_yield(crowd, BACKUP, false), &places[399]);
	assert_null(crowd_yield(crowd, 100000 + 7, false)); /* it has one */
	leave_many(places, 400);
}

static void operators_and_others_have_half_of_the_places_each(void **state)
{
	struct place root[6] = {0}, alice[6] = {0};

	(void)state;
	join_many(root, 6, ROOT);
	assert_ptr_equal(crowd_yield(crowd, ALICE, false), &root[0]);
	assert_null(crowd_yield(crowd, ROOT, true));
	join_many(alice, 5, ALICE);
	assert_ptr_equal(crowd_yield(crowd, ALICE, false), &root[0]);
	join(&alice[5], ALICE);
	assert_null(crowd_yield(crowd, ALICE, false));
	assert_null(crowd_yield(crowd, ROOT, true));
	assert_ptr_equal(crowd_yield(crowd, BACKUP, false), &alice[0]);
	crowd_leave(crowd, &root[0]);
	assert_ptr_equal(crowd_yield(crowd, ROOT, true), &alice[0]);
	/* Root where it has no operator's rights is one of the others. */
	assert_ptr_equal(crowd_yield(crowd, ROOT, false), &alice[0]);
	leave_many(root, 6);
	leave_many(alice, 6);
}

static void of_what_waits_to_be_read_the_uid_with_the_most_gives_way(void **state)
{
	struct place alice[3] = {0}, backup[2] = {0};

	(void)state;
	join_many(alice, 3, ALICE);
	join_many(backup, 2, BACKUP);
	crowd_keep(&alice[1], 600);
	crowd_keep(&alice[2], 600);
	crowd_keep(&backup[0], 700);
	assert_ptr_equal(crowd_heaviest(crowd, &backup[1], 100), &alice[1]);
	assert_null(crowd_heaviest(crowd, &backup[1], 500));
	assert_null(crowd_heaviest(crowd, &alice[0], 1));
	crowd_keep(&alice[1], 0);
	assert_null(crowd_heaviest(crowd, &backup[1], 100));
	crowd_leave(crowd, &backup[0]);
	assert_ptr_equal(crowd_heaviest(crowd, &backup[1], 599), &alice[2]);
	leave_many(alice, 3);
	leave_many(backup, 2);
}

/* Whatever they do and in whatever order: each that stands in line is served once, and in the end.
 */
static void everybody_in_line_is_served(void **state)
{
	static struct place places[64];
	bool is_here[64] = {false}, stands[64] = {false};

	(void)state;
	srandom(12);
	for (unsigned step = 0; step < 200000; step++) {
		unsigned i = (unsigned)random() % 64;
		struct place *served;

		switch (random() % 5) {
		case 0:
			if (!is_here[i])
				join(&places[i], i % 5);
			is_here[i] = true;
			break;
		case 1:
			crowd_leave(crowd, &places[i]);
			is_here[i] = stands[i] = false;
			break;
		case 2:
			if (is_here[i])
				crowd_stand_in_line(crowd, &places[i]);
			stands[i] = is_here[i];
			break;
		case 3:
			if (is_here[i])
				crowd_step_out(crowd, &places[i]);
			stands[i] = false;
			break;
		default:
			served = crowd_next(crowd, now_us);
			for (unsigned j = 0; !served && j < 64; j++)
				assert_false(stands[j]);
			if (served) {
				assert_true(is_among(served, places, 64));
				assert_true(stands[served - places]);
				stands[served - places] = false;
				if (random() % 3 == 0) {
					crowd_leave(crowd, served);
					is_here[served - places] = false;
				}
				now_us += (uint64_t)random() % 2000;
				crowd_charge(crowd, (uint64_t)random() % 2000);
			}
		}
	}
	leave_many(places, 64);
}

#define WITH_CROWD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_CROWD(who_comes_first_is_first_among_his_own),
		WITH_CROWD(one_connection_waits_for_one_frame_of_a_uid_with_900),
		WITH_CROWD(time_is_shared_and_not_frames),
		WITH_CROWD(an_operator_has_half_of_the_time_among_sixty_uids),
		WITH_CROWD(operators_cannot_starve_others),
		WITH_CROWD(a_debt_outlives_the_connection),
		WITH_CROWD(what_is_charged_besides_counts_too),
		WITH_CROWD(a_debt_has_a_bound),
		WITH_CROWD(the_uid_with_the_most_gives_up_its_quietest),
		WITH_CROWD(of_uids_with_as_many_the_quietest_gives_way),
		WITH_CROWD(operators_and_others_have_half_of_the_places_each),
		WITH_CROWD(of_what_waits_to_be_read_the_uid_with_the_most_gives_way),
		WITH_CROWD(everybody_in_line_is_served),
	};

	return cmocka_run_group_tests_name("crowd", tests, NULL, NULL);
}
