/* SPDX-License-Identifier: ISC */
/*
 * exec_stream: CMD's standard output and error on their way through a mask. A pipe takes the place
 * of each, or a pseudo-terminal where it was a terminal; one stream serves both where both are
 * the same file, so that their order stays. What is closed stays closed.
 *
 * Where standard output is a terminal, CMD is to have a session of its own on the pseudo-terminal,
 * which is its input, too, if that was the same terminal: so what reads the terminal that it
 * writes to finds the keys there. Where standard error alone is one, CMD keeps its terminal.
 */
#ifndef MORTISE_CLI_EXEC_STREAM_H
#define MORTISE_CLI_EXEC_STREAM_H

#include <stdint.h>
#include <termios.h>

#include "mask.h"

#define EXEC_STREAM_COUNT 2

struct exec_stream {
	int from;       /* what CMD has written; -1: nothing comes any more */
	int given;      /* CMD's end */
	int target;     /* where it goes: 1 or 2; -1: there is no such stream */
	bool has_both;  /* 2 as well as 1 */
	bool has_input; /* and 0 */
	bool is_terminal;
	bool is_waiting;      /* a person may wait for what is held back */
	bool has_return;      /* a CR is held back, for a newline may follow */
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

/* Is CMD to have a session of its own? */
bool exec_streams_want_session(const struct exec_streams *streams);

/* In CMD, before it starts. False with errno. */
bool exec_streams_give(const struct exec_streams *streams);
/* In mortise, when CMD has them: or else they would never end. */
void exec_streams_let_go(struct exec_streams *streams);

/* Reads what there is, and writes what may be seen; at the end closes both sides. */
void exec_stream_pump(struct exec_stream *stream);
/* Nothing came for a while: a person sees a few of the bytes that are held back. */
void exec_stream_show(struct exec_stream *stream);
/* Nobody is behind it any more: nor is anything before it. */
void exec_stream_end(struct exec_stream *stream);
/*
 * Where CMD kept its terminal, what it set on that of its errors is done to the one behind it, but
 * for how output is made.
 */
void exec_streams_follow_modes(struct exec_streams *streams);
/* Has the window of a terminal changed? Then so has that of CMD's. */
bool exec_streams_resize(const struct exec_streams *streams);

/* How many values were replaced in what is no terminal: standard output, or 1: standard error. */
uint64_t exec_streams_replaced(const struct exec_streams *streams, int which);

bool exec_streams_are_open(const struct exec_streams *streams);
/* Wipes and closes. */
void exec_streams_done(struct exec_streams *streams);

#endif
