/* SPDX-License-Identifier: ISC */
/*
 * exec_stream: CMD's standard output and error on their way through a mask. A pipe takes the place
 * of each, or a pseudo-terminal where it was a terminal; one stream serves both where both are
 * the same file, so that their order stays. What is closed stays closed.
 */
#ifndef MORTISE_CLI_EXEC_STREAM_H
#define MORTISE_CLI_EXEC_STREAM_H

#include <termios.h>

#include "mask.h"

#define EXEC_STREAM_COUNT 2

struct exec_stream {
	int from;      /* what CMD has written; -1: nothing comes any more */
	int given;     /* CMD's end */
	int target;    /* where it goes: 1 or 2; -1: there is no such stream */
	bool has_both; /* 2 as well as 1 */
	bool is_terminal;
	bool is_waiting;      /* a person may wait for what is held back */
	struct termios modes; /* of CMD's terminal, as they were last */
	int error;            /* errno of a write that failed, or 0 */
	struct mask_stream *mask;
};

struct exec_streams {
	struct exec_stream list[EXEC_STREAM_COUNT];
};

/* MORTISE_IO with errno. */
enum mortise_status exec_streams_open(const struct mask *mask, struct exec_streams *out_streams)
	MUST_USE;

/* CMD keeps mortise's own output and error. */
struct exec_streams exec_streams_none(void);

/* In CMD, before it starts. False with errno. */
bool exec_streams_give(const struct exec_streams *streams);
/* In mortise, when CMD has them: or else they would never end. */
void exec_streams_let_go(struct exec_streams *streams);

/* Reads what there is, and writes what may be seen; at the end closes both sides. */
void exec_stream_pump(struct exec_stream *stream);
/* Nothing came for a while: a person sees a few of the bytes that are held back. */
void exec_stream_show(struct exec_stream *stream);
/* What CMD set on a terminal of its own is done to the one behind it, but for how output is made.
 */
void exec_streams_follow_modes(struct exec_streams *streams);
/* The window of the terminal changed. */
void exec_streams_resize(const struct exec_streams *streams);

bool exec_streams_are_open(const struct exec_streams *streams);
/* Wipes and closes. */
void exec_streams_done(struct exec_streams *streams);

#endif
