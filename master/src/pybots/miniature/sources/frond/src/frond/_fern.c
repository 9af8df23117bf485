#include <Python.h>

static PyObject *fronds(PyObject *module, PyObject *argument)
{
    PyMini_Count count = PyLong_AsLong(argument);
    if (count == -1 && PyErr_Occurred())
        return NULL;
    return PyLong_FromLong(2 * count);
}

static PyMethodDef methods[] = {
    {"fronds", fronds, METH_O, "How many fronds so many stems have."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_fern", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__fern(void)
{
    return PyModule_Create(&module);
}
