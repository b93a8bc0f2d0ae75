// Linking is the test: see CMakeLists.txt beside this file.
int main() {
  return 0;
}
