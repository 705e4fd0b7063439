/* Event types and patterns: patterns.c. */
#ifndef MOONBUS_PATTERNS_H
#define MOONBUS_PATTERNS_H
#include "internal.h"

/* NULL when `type` may be an event's type, else what is wrong with it. */
const char *moonbus_type_problem(const char *type, size_t size);
bool moonbus_pattern_matches(const char *pattern, const char *type, size_t size);
/* The candidate (NULL-terminated list) closest to `word`, or NULL when none is close. */
const char *moonbus_did_you_mean(const char *word, const char *const *candidates);

#endif
