/* SPDX-License-Identifier: ISC */
/*
 * child_terminal: the terminal at which a person sits, while a command has one of its own. When it
 * is taken, its keys go to the command's terminal as they are, and that one does with them what the
 * command wants: echo, lines, ^C. Given back, it is set as the command left its own.
 */
#ifndef MORTISE_CLI_CHILD_TERMINAL_H
#define MORTISE_CLI_CHILD_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <termios.h>

struct child_terminal {
	int fd; /* -1: none */
	bool is_taken;
	struct termios before, raw; /* as it was, and as it is while it is taken */
	struct termios given, left; /* the command's own at first, and last */
	uint8_t keys[1024];         /* typed, and not yet passed on */
	size_t count;
	bool is_literal; /* the key before said that the next means nothing */
};

/* Do both descriptors stand for one terminal? */
bool child_terminal_is_same(int one, int other);

/* Finds the terminal behind target, which is one. */
void child_terminal_open(int target, struct child_terminal *out_terminal);
void child_terminal_close(struct child_terminal *terminal);

/* Is mortise in front, or nobody there who would say so? */
bool child_terminal_is_front(const struct child_terminal *terminal);
/* Does somebody else read its keys one by one, as mortise does when it has taken it? */
bool child_terminal_is_raw(const struct child_terminal *terminal);

/* A terminal for the command: of the same size, set the same. False with errno. */
bool child_terminal_copy(int target, int inner);
/* True: it has another size now. */
bool child_terminal_copy_size(int target, int inner);

bool child_terminal_has_same(const struct termios *one, const struct termios *other);
/* Mortise is not stopped for it, should a shell have put it behind itself just now. */
void child_terminal_set(int terminal, const struct termios *modes);

void child_terminal_take(struct child_terminal *terminal, int inner);
/* As the command has set its own by now, so this one will be. */
void child_terminal_note(struct child_terminal *terminal, int inner);
void child_terminal_give_back(struct child_terminal *terminal);

/* Reads what was typed. False: the terminal is gone. */
bool child_terminal_read(struct child_terminal *terminal);
/*
 * Passes it on, as far as there is room. 0, or the signal that the last key means to the command's
 * terminal: the rest waits.
 */
int child_terminal_pass(struct child_terminal *terminal, int inner);

#endif
