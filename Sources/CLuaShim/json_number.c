/* Numbers as JSON text, exact both ways, whatever the process's locale. */
#include "internal.h"
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- writing --------------------------------------------------------------------------------------------------------------- */

/* Prints with `digits` significant digits; a locale's decimal separator becomes a point. */
static size_t print(char *out, double number, int digits) {
    int size = snprintf(out, 32, "%.*g", digits, number);
    for (int index = 0; index < size; index++)
        if (strchr("0123456789-+e", out[index]) == NULL) out[index] = '.';
    return (size_t)size;
}

static double read_back(const char *text, size_t size) {
    double number = 0;
    moonbus_json_number(text, size, true, NULL, &number);
    return number;
}

size_t moonbus_json_format_number(char *out, double number) {
    size_t size = 0;
    if (number == trunc(number) && fabs(number) < 1e15) {
        bool is_negative = signbit(number);
        uint64_t digits = (uint64_t)fabs(number);
        char reversed[20];
        size_t count = 0;
        do reversed[count++] = (char)('0' + digits % 10);
        while ((digits /= 10) != 0);
        if (is_negative) out[size++] = '-';
        while (count > 0) out[size++] = reversed[--count];
        memcpy(out + size, ".0", 2);
        return size + 2;
    }
    /* %g drops trailing zeros, so 15 digits are also the shortest form of all that needs fewer; subnormals need fewer
     * digits than 15 to be told apart. */
    for (int digits = fabs(number) < 2.3e-308 ? 1 : 15; digits <= 17; digits++) {
        size = print(out, number, digits);
        if (read_back(out, size) == number) break;
    }
    for (size_t index = 0; index < size; index++)
        if (out[index] == '.' || out[index] == 'e') return size;
    memcpy(out + size, ".0", 2);
    return size + 2;
}

/* ---- reading --------------------------------------------------------------------------------------------------------------- */

static bool read_integer(const char *text, size_t size, int64_t *integer) {
    bool is_negative = *text == '-';
    uint64_t value = 0, limit = (uint64_t)INT64_MAX + is_negative;
    for (size_t index = is_negative; index < size; index++) {
        uint64_t digit = (uint64_t)(text[index] - '0');
        if (value > (limit - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *integer = is_negative ? (int64_t)(0 - value) : (int64_t)value;
    return !(is_negative && value == 0); /* -0 is a float */
}

/* Exact when the digits fit a double and the power of ten is one that a double holds. Origin: W. D. Clinger, 1990. */
static bool read_fast(const char *text, size_t size, double *number) {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    uint64_t digits = 0;
    int count = 0, exponent = 0, written_exponent = 0;
    size_t index = *text == '-';
    bool is_fraction = false;
    for (; index < size && text[index] != 'e' && text[index] != 'E'; index++) {
        if (text[index] == '.') {
            is_fraction = true;
            continue;
        }
        digits = digits * 10 + (uint64_t)(text[index] - '0');
        if (digits != 0 && ++count > 18) return false;
        exponent -= is_fraction;
    }
    if (index < size) {
        index++;
        bool is_negative = text[index] == '-';
        if (text[index] == '-' || text[index] == '+') index++;
        for (; index < size; index++)
            if ((written_exponent = written_exponent * 10 + (text[index] - '0')) > 400) return false;
        exponent += is_negative ? -written_exponent : written_exponent;
    }
    if (digits > (uint64_t)1 << 53 || exponent < -22 || exponent > 22) return false;
    double value = (double)digits;
    value = exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
    *number = *text == '-' ? -value : value;
    return true;
}

/* strtod wants a terminated text and the locale's separator. Longer numbers than the buffer lose digits past the
 * 300th, which no double can tell apart but by luck; their exponent is kept. */
static double read_slow(const char *text, size_t size) {
    enum { DIGITS_MAX = 300 };
    char copy[DIGITS_MAX + 64];
    size_t used = 0, index = 0;
    long dropped = 0;
    bool is_fraction = false;
    for (; index < size && text[index] != 'e' && text[index] != 'E'; index++) {
        is_fraction |= text[index] == '.';
        if (used < DIGITS_MAX) copy[used++] = text[index];
        else if (!is_fraction) dropped++;
    }
    long exponent = 0;
    if (index < size) {
        index++;
        bool is_negative = text[index] == '-';
        if (text[index] == '-' || text[index] == '+') index++;
        for (; index < size && exponent < 100000; index++) exponent = exponent * 10 + (text[index] - '0');
        if (is_negative) exponent = -exponent;
    }
    snprintf(copy + used, sizeof copy - used, "e%ld", exponent + dropped);
    char *end;
    double number = strtod(copy, &end);
    char *point = memchr(copy, '.', used);
    if (*end != 0 && point != NULL) { /* a locale with another separator */
        *point = ',';
        number = strtod(copy, NULL);
    }
    return number;
}

bool moonbus_json_number(const char *text, size_t size, bool is_float, int64_t *integer, double *number) {
    if (!is_float && read_integer(text, size, integer)) return true;
    if (!read_fast(text, size, number)) *number = read_slow(text, size);
    return false;
}
