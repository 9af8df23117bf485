/* The interpreter's main(), for a base whose interpreter is a shared library carried with it. */
extern int Py_BytesMain(int argc, char **argv);

int main(int argc, char **argv)
{
    return Py_BytesMain(argc, argv);
}
