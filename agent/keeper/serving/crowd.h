/* SPDX-License-Identifier: ISC */
/*
 * crowd: the uids that have connections, and what each has of the server: places and time.
 * Every uid has the same share of both, however many connections it opens; what one leaves,
 * others use. Operators have half of the time, if they want it, and no more. Knows nothing of
 * sockets, frames or policy; who calls says what time it is and how long something took.
 */
#ifndef MORTISE_CROWD_H
#define MORTISE_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

struct crowd;
struct person;

/* What a connection has of the crowd; part of it. Zeros before crowd_join(). */
struct place {
	void *owner; /* the server's */
	struct person *person;
	struct place *quieter, *livelier; /* of the same uid, by when they were last heard */
	struct place *behind;             /* of the same uid, in line */
	uint64_t heard_us;
	size_t kept; /* bytes that wait for it to read */
	bool is_in_line;
	bool is_busy; /* set by the server: an answer is under way; the last to give way */
};

enum mortise_status crowd_new(struct crowd **out_crowd) MUST_USE;
/* Once nobody is left. NULL is allowed. */
void crowd_free(struct crowd *crowd);

/* An operator's uid is another one where it does not have the operator's rights. MORTISE_BUSY. */
enum mortise_status crowd_join(struct crowd *crowd, struct place *place, uint32_t uid,
	bool is_operator, uint64_t now_us) MUST_USE;
/* Also takes it out of the line. Nothing happens to one that has not joined, or left. */
void crowd_leave(struct crowd *crowd, struct place *place);

/* Its connection may be read. Nothing happens to one that stands in line already. */
void crowd_stand_in_line(struct crowd *crowd, struct place *place);
/* It is not to be read now. */
void crowd_step_out(struct crowd *crowd, struct place *place);
/*
 * Takes out of the line who is next: of the uids the one that was served for the least time, and
 * of its connections who came first. NULL: nobody stands there.
 */
struct place *crowd_next(struct crowd *crowd, uint64_t now_us);
/* So long did it take to serve who was last given by crowd_next(), and is still there or not. */
void crowd_charge(struct crowd *crowd, uint64_t elapsed_us);
/* The same for anything else that a place's uid made the server do; of one that left, nothing. */
void crowd_charge_place(struct crowd *crowd, struct place *place, uint64_t elapsed_us);

/* Does anybody stand in line? */
bool crowd_is_waiting(const struct crowd *crowd);

/*
 * Where all places are taken: which is given up, so that uid may have one more? Operators may
 * have half of them, and all others the other half; what one half leaves, the other uses. In the
 * half that has too much it is the uid with the most, and of that the one that was quiet for
 * longest. NULL: nobody there has more than this uid.
 */
struct place *crowd_yield(struct crowd *crowd, uint32_t uid, bool is_operator);

/* So many bytes wait for it to read; 0: none any more. */
void crowd_keep(struct place *place, size_t bytes);
/*
 * Where there is no room for bytes more: which place's are given up? Of the uid for which most
 * are kept the one that was quiet for longest. NULL: this place's uid would have the most.
 */
struct place *crowd_heaviest(struct crowd *crowd, const struct place *place, size_t bytes);

#endif
