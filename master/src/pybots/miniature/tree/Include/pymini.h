/* The part of the C API that is the miniature's own, so that a commit can take something away. */
#ifndef PYMINI_H
#define PYMINI_H

typedef long PyMini_Count; /* Deprecated since 3.9. */

#endif
