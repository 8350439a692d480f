/* SPDX-License-Identifier: ISC */
#include "clock.h"

#include <fcntl.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define MICROS        UINT64_C(1000000)
#define SLACK_US      (CLOCK_SLACK_S * MICROS)
#define STEP_US       (MICROS / 10)
#define ASK_KERNEL_US MICROS /* adjtimex(2) is no vDSO's */

/* ---- the judgement ---- */

void clock_judge_init(
	struct clock_judge *judge, const struct clock_floor *floor, const char *this_boot)
{
	*judge = (struct clock_judge){.verdict = CLOCK_BELIEVED};
	if (!floor || floor->wall_us == 0)
		return;
	judge->floor.wall_us = floor->wall_us;
	if (this_boot[0] != '\0' && strcmp(floor->boot, this_boot) == 0)
		judge->floor.steady_us = floor->steady_us;
}

/* What must have been reached by now, if the mark is right; 0 without one. */
static uint64_t reached(const struct clock_mark *mark, uint64_t steady_us)
{
	if (mark->wall_us == 0 || steady_us < mark->steady_us)
		return mark->wall_us;
	return mark->wall_us + (steady_us - mark->steady_us);
}

static const struct clock_mark *base_of(const struct clock_judge *judge)
{
	return judge->floor.wall_us != 0 ? &judge->floor : &judge->assumed;
}

static struct clock_mark mark_of(const struct clock_reading *reading)
{
	return (struct clock_mark){reading->wall_us, reading->steady_us};
}

static bool is_behind(uint64_t wall_us, uint64_t floor_us)
{
	return wall_us < floor_us && floor_us - wall_us > SLACK_US;
}

static void raise_floor(struct clock_judge *judge, struct clock_mark mark)
{
	if (mark.wall_us > judge->floor.wall_us)
		judge->floor = mark;
}

static enum clock_verdict compare(
	const struct clock_judge *judge, const struct clock_reading *reading)
{
	const struct clock_mark *base = base_of(judge);

	if (reading->wall_us < CLOCK_EARLIEST)
		return CLOCK_EARLY;
	/* The kernel's word counts for more than what we made of a first reading. */
	if (is_behind(reading->wall_us,
		    reading->is_synchronised ? judge->floor.wall_us : base->wall_us))
		return CLOCK_BEHIND;
	if (reading->is_synchronised || base->wall_us == 0)
		return CLOCK_BELIEVED;
	return reading->wall_us > reached(base, reading->steady_us) + CLOCK_LEAP_S * MICROS
		       ? CLOCK_AHEAD
		       : CLOCK_BELIEVED;
}

/* Has it gone on as the steady clock has? */
static bool agrees(const struct clock_mark *mark, const struct clock_reading *reading)
{
	uint64_t wanted = reached(mark, reading->steady_us);

	return mark->wall_us != 0 && !is_behind(reading->wall_us, wanted) &&
	       !is_behind(wanted, reading->wall_us);
}

static void confirm_slowly(struct clock_judge *judge, const struct clock_reading *reading)
{
	struct clock_mark *candidate = &judge->candidate;

	if (!agrees(candidate, reading)) {
		*candidate = mark_of(reading);
	} else if (reading->steady_us - candidate->steady_us >= CLOCK_CONFIRM_S * MICROS) {
		raise_floor(judge, *candidate);
		*candidate = mark_of(reading);
	}
}

enum clock_verdict clock_judge_read(struct clock_judge *judge, const struct clock_reading *reading)
{
	judge->verdict = compare(judge, reading);
	if (judge->verdict != CLOCK_BELIEVED) {
		judge->candidate = (struct clock_mark){0};
		return judge->verdict;
	}
	if (reading->is_synchronised)
		raise_floor(judge, mark_of(reading));
	else if (judge->floor.wall_us == 0 && judge->assumed.wall_us == 0)
		judge->assumed = mark_of(reading);
	confirm_slowly(judge, reading);
	return judge->verdict;
}

bool clock_judge_accept(struct clock_judge *judge, const struct clock_reading *reading)
{
	if (reading->wall_us < CLOCK_EARLIEST)
		return false;
	judge->floor = mark_of(reading);
	judge->candidate = mark_of(reading);
	judge->verdict = CLOCK_BELIEVED;
	return true;
}

uint64_t clock_judge_least(const struct clock_judge *judge, const struct clock_reading *reading)
{
	uint64_t least = reached(base_of(judge), reading->steady_us);

	if (judge->verdict == CLOCK_BELIEVED)
		return reading->wall_us;
	return least > CLOCK_EARLIEST ? least : CLOCK_EARLIEST;
}

/* ---- this process's clock ---- */

static struct {
	struct clock_judge judge;
	struct clock_reading last;
	char boot[CLOCK_BOOT_SIZE];
	uint64_t taken_us; /* the floor that was set or taken last */
	uint64_t asked_us; /* the kernel, whether it is synchronised; 0: never */
} own;

static uint64_t read_us(clockid_t id)
{
	struct timespec now = {0};

	(void)clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * MICROS + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_steady_us(void)
{
	return read_us(CLOCK_BOOTTIME);
}

/* Without leave to ask it is taken for not synchronised. */
static bool is_synchronised(void)
{
	struct timex state = {.modes = 0};

	return adjtimex(&state) >= 0 && !(state.status & STA_UNSYNC);
}

/* Has the wall clock been set since the last reading? Then what the kernel said of it is old. */
static bool was_set(const struct clock_reading *now)
{
	uint64_t wanted_us = own.last.wall_us + (now->steady_us - own.last.steady_us);
	uint64_t off_us =
		wanted_us > now->wall_us ? wanted_us - now->wall_us : now->wall_us - wanted_us;

	return off_us > STEP_US;
}

/* The wall clock first: whoever sets it is taken for synchronised no more, by the same lock. */
static void read_clocks(void)
{
	struct clock_reading now = {.wall_us = read_us(CLOCK_REALTIME),
		.steady_us = clock_steady_us(),
		.is_synchronised = own.last.is_synchronised};

	if (own.asked_us == 0 || was_set(&now) || now.steady_us - own.asked_us >= ASK_KERNEL_US) {
		own.asked_us = now.steady_us;
		now.is_synchronised = is_synchronised();
	}
	own.last = now;
}

struct clock_now clock_now(void)
{
	read_clocks();
	bool is_believed = clock_judge_read(&own.judge, &own.last) == CLOCK_BELIEVED;
	return (struct clock_now){
		own.last.wall_us, clock_judge_least(&own.judge, &own.last), is_believed};
}

bool clock_is_believed(void)
{
	return own.judge.verdict == CLOCK_BELIEVED;
}

void clock_boot_id(char out_id[CLOCK_BOOT_SIZE])
{
	int descriptor = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t size = descriptor >= 0 ? read(descriptor, out_id, CLOCK_BOOT_SIZE - 1) : 0;

	if (descriptor >= 0)
		close(descriptor);
	out_id[size > 0 ? size : 0] = '\0';
	out_id[strcspn(out_id, "\n")] = '\0';
}

void clock_set_floor(const struct clock_floor *floor)
{
	if (own.boot[0] == '\0')
		clock_boot_id(own.boot);
	clock_judge_init(&own.judge, floor, own.boot);
	own.taken_us = own.judge.floor.wall_us;
	(void)clock_now();
}

bool clock_take_floor(uint64_t newer_us, struct clock_floor *out_floor)
{
	const struct clock_mark *floor = &own.judge.floor;

	/* An admin's word may have brought it back. */
	if (floor->wall_us == own.taken_us ||
		(floor->wall_us > own.taken_us && floor->wall_us - own.taken_us < newer_us))
		return false;
	own.taken_us = floor->wall_us;
	*out_floor = (struct clock_floor){floor->wall_us, floor->steady_us, ""};
	memcpy(out_floor->boot, own.boot, sizeof own.boot);
	return true;
}

bool clock_accept(void)
{
	read_clocks();
	return clock_judge_accept(&own.judge, &own.last);
}

struct clock_report clock_report(void)
{
	return (struct clock_report){own.judge.verdict, own.last.wall_us, own.judge.floor.wall_us,
		own.last.is_synchronised};
}

const char *clock_verdict_text(enum clock_verdict verdict)
{
	switch (verdict) {
	case CLOCK_BELIEVED:
		return "believed";
	case CLOCK_EARLY:
		return "before mortise was written";
	case CLOCK_BEHIND:
		return "behind a time that was confirmed";
	case CLOCK_AHEAD:
		return "more than a day ahead of what can have passed since a time that was "
		       "confirmed";
	}
	return "?";
}
