/* SPDX-License-Identifier: ISC */
/*
 * clock: what time it is, and whether that is to be believed.
 * It keeps a floor: the newest time that was confirmed, by the kernel's word that its clock is
 * synchronised, by ten minutes of the steady clock behind it, or by an admin. A wall clock behind
 * the floor, or more than a day ahead of what the floor and the steady clock allow, is not
 * believed; it becomes so by being synchronised, or set right, or accepted by an admin. Deadlines
 * take the steady clock, which nobody sets. Knows nothing of what hangs on the time, nor of where a
 * floor is kept.
 */
#ifndef MORTISE_CLOCK_H
#define MORTISE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_BOOT_SIZE 37                           /* a boot's id, and a NUL */
#define CLOCK_EARLIEST  (UINT64_C(1704067200000000)) /* 2024-01-01Z: before mortise was written */
#define CLOCK_CONFIRM_S 600
#define CLOCK_LEAP_S    86400 /* further ahead than that nobody is believed */
#define CLOCK_SLACK_S   60    /* a step of less is a correction: leap seconds, NTP's first word */

/* Both in microseconds. */
struct clock_reading {
	uint64_t wall_us;     /* since 1970-01-01T00:00Z */
	uint64_t steady_us;   /* since this boot, sleep included */
	bool is_synchronised; /* says the kernel */
};

/* A time that was confirmed, and when that was. */
struct clock_floor {
	uint64_t wall_us; /* 0: none */
	uint64_t steady_us;
	char boot[CLOCK_BOOT_SIZE]; /* in which steady_us counts */
};

enum clock_verdict {
	CLOCK_BELIEVED,
	CLOCK_EARLY,  /* before CLOCK_EARLIEST */
	CLOCK_BEHIND, /* the floor */
	CLOCK_AHEAD,  /* of what can have passed since */
};

/* ---- the judgement, pure ---- */

/* A wall time at a steady one. */
struct clock_mark {
	uint64_t wall_us; /* 0: none */
	uint64_t steady_us;
};

struct clock_judge {
	struct clock_mark floor;
	struct clock_mark assumed;   /* where there is no floor: what was read first */
	struct clock_mark candidate; /* a floor, if ten minutes pass */
	enum clock_verdict verdict;  /* the last one */
};

/*
 * floor: NULL, or one that was kept. Of another boot than this one only its wall time counts: at
 * least as much has passed since as this boot has lasted.
 */
void clock_judge_init(
	struct clock_judge *judge, const struct clock_floor *floor, const char *this_boot);
/* May raise the floor. Readings come in the order of steady_us. */
enum clock_verdict clock_judge_read(struct clock_judge *judge, const struct clock_reading *reading);
/* The reading is confirmed, whatever it says. False if it is CLOCK_EARLY: nothing changes. */
bool clock_judge_accept(struct clock_judge *judge, const struct clock_reading *reading);
/* The wall time if it is believed; else what must have been reached at least. */
uint64_t clock_judge_least(const struct clock_judge *judge, const struct clock_reading *reading);

/* ---- this process's clock ---- */

struct clock_now {
	uint64_t wall_us;  /* as the clock says it: for records that name the doubt, too */
	uint64_t least_us; /* that, or if it is not believed a time that has been reached */
	bool is_believed;
};

struct clock_now clock_now(void);
/* As of the last clock_now() of this process. */
bool clock_is_believed(void);

/* Of the steady clock, for deadlines. */
uint64_t clock_steady_us(void);

/* The kernel's id of this boot, or "" where it has none. */
void clock_boot_id(char out_id[CLOCK_BOOT_SIZE]);

/* Goes on from a floor that was kept; NULL: there is none. */
void clock_set_floor(const struct clock_floor *floor);
/* A floor that is newer than the one set or taken last by at least so much. */
bool clock_take_floor(uint64_t newer_us, struct clock_floor *out_floor);
/* An admin's word for the time as it is. False if it is before CLOCK_EARLIEST. */
bool clock_accept(void);

struct clock_report {
	enum clock_verdict verdict;
	uint64_t wall_us;
	uint64_t floor_us;    /* 0: none */
	bool is_synchronised; /* says the kernel */
};
struct clock_report clock_report(void);

/* "behind a time that was confirmed", ... */
const char *clock_verdict_text(enum clock_verdict verdict);

#endif
