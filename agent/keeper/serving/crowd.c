/* SPDX-License-Identifier: ISC */
/*
 * Start-time fair queuing (Goyal, Vin, Cheng: Start-time Fair Queueing, 1996), in microseconds:
 * each person has a clock that goes on by what it cost to serve him, and whose clock is furthest
 * behind is next. Who comes into the line is set to the time of who is served: what he did not use
 * before is lost, and what he used too much is not. Operators and all others are two such persons.
 */
#include "crowd.h"

#include <stdlib.h>

#define DEBT_MAX_US  20000 /* a slow disk is nobody's fault */
#define CHAINS       256   /* a power of two */
#define DEBTORS_KEPT 256   /* of those who are away */

struct person {
	uint32_t uid;
	bool is_operator;
	size_t count, kept;
	uint64_t clock_us;
	size_t nth; /* in its heap, from 1; 0: not in line */
	struct place *quietest, *liveliest;
	struct place *first, *last; /* in line */
	struct person *chained;
};

/* Those of whom somebody stands in line; whose clock is furthest behind is the first. */
struct line {
	struct person **heap;
	size_t count, room;
	size_t persons, places;
	uint64_t clock_us;  /* of the class */
	uint64_t now_us;    /* of who is served */
	uint64_t latest_us; /* of all who were */
};

enum { OTHERS, OPERATORS, CLASSES };

struct crowd {
	struct person *chains[CHAINS];
	struct line lines[CLASSES];
	uint64_t class_now_us;
	size_t away;
	struct person *served; /* NULL: nobody, or gone */
	unsigned served_class;
};

enum mortise_status crowd_new(struct crowd **out_crowd)
{
	struct crowd *crowd = calloc(1, sizeof *crowd);

	if (!crowd)
		return MORTISE_BUSY;
	*out_crowd = crowd;
	return MORTISE_OK;
}

static unsigned class_of(const struct person *person)
{
	return person->is_operator ? OPERATORS : OTHERS;
}

static struct line *line_of(struct crowd *crowd, const struct person *person)
{
	return &crowd->lines[class_of(person)];
}

/* ---- Who is known ---- */

static struct person **find(struct crowd *crowd, uint32_t uid, bool is_operator)
{
	struct person **at = &crowd->chains[uid & (CHAINS - 1)];

	while (*at && ((*at)->uid != uid || (*at)->is_operator != is_operator))
		at = &(*at)->chained;
	return at;
}

static void forget(struct crowd *crowd, struct person **at)
{
	struct person *person = *at;

	*at = person->chained;
	line_of(crowd, person)->persons--;
	crowd->away--;
	if (crowd->served == person)
		crowd->served = NULL;
	free(person);
}

static bool is_debtor(struct crowd *crowd, const struct person *person)
{
	return person == crowd->served || person->clock_us > line_of(crowd, person)->now_us;
}

/* Those who are away and owe nothing, or all who are away. */
static void forget_away(struct crowd *crowd, bool debtors_too)
{
	for (unsigned i = 0; i < CHAINS; i++) {
		struct person **at = &crowd->chains[i];

		while (*at)
			if ((*at)->count == 0 && (debtors_too || !is_debtor(crowd, *at)))
				forget(crowd, at);
			else
				at = &(*at)->chained;
	}
}

void crowd_free(struct crowd *crowd)
{
	if (!crowd)
		return;
	forget_away(crowd, true);
	free(crowd->lines[OTHERS].heap);
	free(crowd->lines[OPERATORS].heap);
	free(crowd);
}

/* There is room in line for everybody who is known, so that nobody has to be refused it later. */
static enum mortise_status make_room(struct line *line)
{
	if (line->persons < line->room)
		return MORTISE_OK;
	size_t room = line->room ? 2 * line->room : 16;
	struct person **heap = reallocarray(line->heap, room + 1, sizeof(struct person *));
	if (!heap)
		return MORTISE_BUSY;
	line->heap = heap;
	line->room = room;
	return MORTISE_OK;
}

static enum mortise_status get_to_know(
	struct crowd *crowd, uint32_t uid, bool is_operator, struct person **out_person)
{
	struct line *line = &crowd->lines[is_operator ? OPERATORS : OTHERS];
	struct person *person;

	TRY(make_room(line));
	person = calloc(1, sizeof *person);
	if (!person)
		return MORTISE_BUSY;
	person->uid = uid;
	person->is_operator = is_operator;
	line->persons++;
	crowd->away++;
	*find(crowd, uid, is_operator) = *out_person = person;
	return MORTISE_OK;
}

/* ---- The heap of a line ---- */

static void put(struct line *line, size_t nth, struct person *person)
{
	line->heap[nth] = person;
	person->nth = nth;
}

static void rise(struct line *line, struct person *person)
{
	size_t nth = person->nth;

	for (; nth > 1 && line->heap[nth / 2]->clock_us > person->clock_us; nth /= 2)
		put(line, nth, line->heap[nth / 2]);
	put(line, nth, person);
}

static void sink(struct line *line, struct person *person)
{
	size_t nth = person->nth, below;

	for (; (below = 2 * nth) <= line->count; nth = below) {
		if (below < line->count &&
			line->heap[below + 1]->clock_us < line->heap[below]->clock_us)
			below++;
		if (line->heap[below]->clock_us >= person->clock_us)
			break;
		put(line, nth, line->heap[below]);
	}
	put(line, nth, person);
}

static void enter(struct crowd *crowd, struct person *person)
{
	struct line *line = line_of(crowd, person);

	if (line->count == 0 && line->clock_us < crowd->class_now_us)
		line->clock_us = crowd->class_now_us;
	if (person->clock_us < line->now_us)
		person->clock_us = line->now_us;
	person->nth = ++line->count;
	rise(line, person);
}

static void leave(struct crowd *crowd, struct person *person)
{
	struct line *line = line_of(crowd, person);
	struct person *last = line->heap[line->count--];

	if (last != person) {
		put(line, person->nth, last);
		rise(line, last);
		sink(line, last);
	}
	person->nth = 0;
}

/* ---- Places ---- */

static void append(struct person *person, struct place *place)
{
	place->quieter = person->liveliest;
	place->livelier = NULL;
	*(place->quieter ? &place->quieter->livelier : &person->quietest) = place;
	person->liveliest = place;
}

static void detach(struct person *person, struct place *place)
{
	*(place->quieter ? &place->quieter->livelier : &person->quietest) = place->livelier;
	*(place->livelier ? &place->livelier->quieter : &person->liveliest) = place->quieter;
}

enum mortise_status crowd_join(
	struct crowd *crowd, struct place *place, uint32_t uid, bool is_operator, uint64_t now_us)
{
	struct person *person = *find(crowd, uid, is_operator);

	if (!person)
		TRY(get_to_know(crowd, uid, is_operator, &person));
	crowd->away -= person->count == 0;
	person->count++;
	line_of(crowd, person)->places++;
	*place = (struct place){.owner = place->owner, .person = person, .heard_us = now_us};
	append(person, place);
	return MORTISE_OK;
}

void crowd_step_out(struct crowd *crowd, struct place *place)
{
	struct person *person = place->person;
	struct place **at = &person->first, *before = NULL;

	if (!place->is_in_line)
		return;
	for (; *at != place; at = &(*at)->behind)
		before = *at;
	*at = place->behind;
	if (person->last == place)
		person->last = before;
	place->is_in_line = false;
	if (!person->first)
		leave(crowd, person);
}

void crowd_leave(struct crowd *crowd, struct place *place)
{
	struct person *person = place->person;

	if (!person)
		return;
	crowd_step_out(crowd, place);
	crowd_keep(place, 0);
	detach(person, place);
	place->person = NULL;
	line_of(crowd, person)->places--;
	if (--person->count > 0)
		return;
	crowd->away++;
	if (!is_debtor(crowd, person))
		forget(crowd, find(crowd, person->uid, person->is_operator));
	else if (crowd->away > DEBTORS_KEPT)
		forget_away(crowd, false);
	if (crowd->away > DEBTORS_KEPT)
		forget_away(crowd, true);
}

/* ---- The line ---- */

void crowd_stand_in_line(struct crowd *crowd, struct place *place)
{
	struct person *person = place->person;

	if (place->is_in_line)
		return;
	place->is_in_line = true;
	place->behind = NULL;
	*(person->first ? &person->last->behind : &person->first) = place;
	person->last = place;
	if (person->nth == 0)
		enter(crowd, person);
}

/* Of the two that have somebody the one that is behind. With nobody in it, a line forgives. */
static struct line *choose_line(struct crowd *crowd)
{
	struct line *others = &crowd->lines[OTHERS], *operators = &crowd->lines[OPERATORS];

	for (unsigned class = 0; class < CLASSES; class ++)
		if (crowd->lines[class].count == 0)
			crowd->lines[class].now_us = crowd->lines[class].latest_us;
	if (operators->count == 0)
		return others->count > 0 ? others : NULL;
	if (others->count == 0)
		return operators;
	return operators->clock_us <= others->clock_us ? operators : others;
}

struct place *crowd_next(struct crowd *crowd, uint64_t now_us)
{
	struct line *line = choose_line(crowd);
	struct person *person;
	struct place *place;

	if (!line)
		return NULL;
	person = crowd->served = line->heap[1];
	crowd->served_class = class_of(person);
	crowd->class_now_us = line->clock_us;
	line->now_us = person->clock_us;
	place = person->first;
	crowd_step_out(crowd, place);
	detach(person, place);
	place->heard_us = now_us;
	append(person, place);
	return place;
}

static void charge(struct crowd *crowd, struct person *person, uint64_t elapsed_us)
{
	struct line *line = line_of(crowd, person);

	if (person->clock_us < line->now_us)
		person->clock_us = line->now_us;
	person->clock_us += elapsed_us;
	if (person->clock_us > line->now_us + DEBT_MAX_US)
		person->clock_us = line->now_us + DEBT_MAX_US;
	if (person->clock_us > line->latest_us)
		line->latest_us = person->clock_us;
	if (person->nth > 0)
		sink(line, person);
}

void crowd_charge(struct crowd *crowd, uint64_t elapsed_us)
{
	struct person *person = crowd->served;

	crowd->lines[crowd->served_class].clock_us += elapsed_us;
	if (!person)
		return;
	crowd->served = NULL;
	charge(crowd, person, elapsed_us);
	if (person->count == 0 && !is_debtor(crowd, person))
		forget(crowd, find(crowd, person->uid, person->is_operator));
}

void crowd_charge_place(struct crowd *crowd, struct place *place, uint64_t elapsed_us)
{
	if (place->person)
		charge(crowd, place->person, elapsed_us);
}

bool crowd_is_waiting(const struct crowd *crowd)
{
	return crowd->lines[OTHERS].count > 0 || crowd->lines[OPERATORS].count > 0;
}

/* ---- Who gives way ---- */

/* The one that was quiet for longest and has no answer under way, or else the quietest of all. */
static struct place *quietest_of(const struct person *person)
{
	struct place *place = person->quietest;

	while (place && place->is_busy)
		place = place->livelier;
	return place ? place : person->quietest;
}

/* Of those of a class that have more than so many places, who has the most; NULL: nobody. */
static struct place *largest(const struct crowd *crowd, unsigned class, size_t most)
{
	struct place *found = NULL;

	for (unsigned i = 0; i < CHAINS; i++) {
		for (struct person *person = crowd->chains[i]; person; person = person->chained) {
			struct place *place;

			if (class_of(person) != class || person->count < most + !found)
				continue;
			place = quietest_of(person);
			if (found && person->count == most && place->heard_us >= found->heard_us)
				continue;
			most = person->count;
			found = place;
		}
	}
	return found;
}

struct place *crowd_yield(struct crowd *crowd, uint32_t uid, bool is_operator)
{
	const struct person *person = *find(crowd, uid, is_operator);
	unsigned own = is_operator ? OPERATORS : OTHERS;

	if (crowd->lines[own].places < crowd->lines[!own].places)
		return largest(crowd, !own, 0);
	return largest(crowd, own, person ? person->count : 0);
}

void crowd_keep(struct place *place, size_t bytes)
{
	place->person->kept -= place->kept;
	place->person->kept += bytes;
	place->kept = bytes;
}

struct place *crowd_heaviest(struct crowd *crowd, const struct place *place, size_t bytes)
{
	const struct person *heaviest = NULL;
	size_t most = place->person->kept + bytes;
	struct place *at;

	for (unsigned i = 0; i < CHAINS; i++)
		for (struct person *person = crowd->chains[i]; person; person = person->chained)
			if (person->kept > most) {
				most = person->kept;
				heaviest = person;
			}
	if (!heaviest)
		return NULL;
	for (at = heaviest->quietest; at->kept == 0; at = at->livelier)
		;
	return at;
}
