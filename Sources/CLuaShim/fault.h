/* What went wrong in a run: fault.c. */
#ifndef MOONBUS_FAULT_H
#define MOONBUS_FAULT_H
#include "CLuaShim.h"

#include <lua5.4/lua.h>

enum { MOONBUS_TEXT_MAX = 4096, MOONBUS_FILE_MAX = 256 };

/* Every character of a fault may need an escape of six. */
enum { MOONBUS_FAULT_JSON_MAX = 6 * (2 * MOONBUS_TEXT_MAX + MOONBUS_FILE_MAX) + 256 };

/* What went wrong in the run in progress, as bounded, printable UTF-8. */
typedef struct {
    const char *kind; /* error, memory, timeout, killed, syntax */
    size_t message_size, traceback_size, file_size;
    int line;
    bool is_located; /* file, line and traceback are set */
    char message[MOONBUS_TEXT_MAX];
    char traceback[MOONBUS_TEXT_MAX];
    char file[MOONBUS_FILE_MAX];
} moonbus_fault;

/* Message handler: notes place and traceback, leaves the error value alone. Stack [-0, +0, never raises]. */
int moonbus_fault_handler(lua_State *L);
void moonbus_fault_locate(lua_State *L, moonbus_fault *fault);
void moonbus_fault_reset(moonbus_fault *fault);
/* Turns the error value on top of the stack into fault->message; may call a __tostring, protected.
 * Stack [-1, +0, never raises]. */
void moonbus_fault_describe(lua_State *L, moonbus_fault *fault);
void moonbus_fault_set_message(moonbus_fault *fault, const char *text, size_t size);
/* Writes JSON; returns its size, at most MOONBUS_FAULT_JSON_MAX. */
size_t moonbus_fault_encode(const moonbus_fault *fault, char *out, size_t capacity);
/* Copies as printable UTF-8: control characters and bad bytes become \xNN, too long ends in "…". Returns the size. */
size_t moonbus_text_copy(char *out, size_t capacity, const char *text, size_t size);

#endif
