/* SPDX-License-Identifier: ISC */
/*
 * load_frames: the frames of the load: a get and a set of sec/NNNNNNNN, and the answer that a
 * get must have to the last byte. A value is 256 bytes and begins with its secret's number.
 */
#ifndef MORTISE_BENCH_LOAD_FRAMES_H
#define MORTISE_BENCH_LOAD_FRAMES_H

#include "wire.h"

#define FRAME_MAX 512

/* Frames of a kind differ in their secret's number only. */
struct pattern {
	uint8_t bytes[FRAME_MAX];
	size_t size;
	size_t path_digits, value_digits; /* where the number stands; 0: nowhere */
};

struct patterns {
	struct pattern get, got, set;
};

/* False if a frame does not fit. */
bool patterns_init(struct patterns *patterns) MUST_USE;

void pattern_set_number(struct pattern *pattern, unsigned number);

/* The HELLO that gives back the challenge of frame; 0 if frame is no GREET. */
size_t frame_answer_greet(const uint8_t *frame, size_t size, uint8_t *hello, size_t hello_capacity)
	MUST_USE;

#endif
