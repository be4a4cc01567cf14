"""Measures llama.cpp on the file that `embedded make FILE` makes, as `embedded speed` measures the decoder of this crate.

pip install llama-cpp-python; python counterpart.py FILE [THREADS]
"""
import sys, time
import llama_cpp

LENGTH = 32
threads = int(sys.argv[2]) if len(sys.argv) > 2 else 1
model = llama_cpp.Llama(sys.argv[1], n_ctx=2048, n_threads=threads, n_threads_batch=threads, verbose=False)

begun = time.process_time()
model.eval(list(range(100, 100 + LENGTH)))
read = time.process_time() - begun
wall, begun = time.perf_counter(), time.process_time()
for token in range(LENGTH):
    model.eval([1000 + token])
spent, wall = time.process_time() - begun, time.perf_counter() - wall
print(f"llama-cpp-python {llama_cpp.__version__}, {threads} threads: {LENGTH / spent:.1f} tokens a second of a core, {LENGTH / wall:.1f} by the clock; "
      f"prompt {LENGTH / read:.0f} tokens/s a core")
