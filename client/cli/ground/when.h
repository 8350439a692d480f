/* SPDX-License-Identifier: ISC */
/* when: durations and times as people write and read them. */
#ifndef MORTISE_CLI_WHEN_H
#define MORTISE_CLI_WHEN_H

#include <stdbool.h>
#include <stdint.h>

#define WHEN_TEXT_SIZE 40

/* Seconds, with up to three decimals, or with a unit: "30", "1.5", "90s", "5m", "2h", "1d". */
bool when_parse_duration(const char *text, int *out_ms);

/* Whole seconds without bound, as a number and its unit: "90d". */
bool when_parse_seconds(const char *text, uint64_t *out_seconds);
/* The largest unit that it is a multiple of: "90d". */
void when_format_seconds(uint64_t seconds, char out_text[WHEN_TEXT_SIZE]);

/*
 * "2026-11-23", "2026-11-23 14:03", "2026-11-23T14:03:11", in the local zone, or with a
 * closing Z in UTC; or a duration with its unit: so long ago. Microseconds since 1970.
 */
bool when_parse_time(const char *text, uint64_t now_us, uint64_t *out_time_us);

/* The same, if it is not to come. */
bool when_parse_past(const char *text, uint64_t *out_time_us);

/* "2026-11-23 14:03:11", local. */
void when_format_local(uint64_t time_us, char out_text[WHEN_TEXT_SIZE]);
/* "2026-11-23 13:03:11Z" */
void when_format_utc_second(uint64_t time_us, char out_text[WHEN_TEXT_SIZE]);
/* "2026-11-23T13:03:11.123456Z" */
void when_format_utc(uint64_t time_us, char out_text[WHEN_TEXT_SIZE]);

uint64_t when_now_us(void);

#endif
