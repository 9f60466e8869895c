import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    reporters: ['default', './tools/count-reporter.ts'],
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            'packages/*/src/**/*.test.ts',
            'tools/**/*.test.ts',
            'test/vm/{framework,scenarios}/**/*.test.ts',
          ],
        },
      },
      {
        test: {
          name: 'types',
          include: [],
          typecheck: {
            enabled: true,
            only: true,
            include: ['packages/*/src/**/*.test-d.ts'],
            tsconfig: './tsconfig.checks.json',
          },
        },
      },
      { test: { name: 'architecture', include: ['test/architecture/**/*.test.ts'] } },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'fault',
          sequence: { groupOrder: 1 },
          include: ['test/fault/**/*.test.ts'],
          // A hundred daemons die in each test; more tests at a time than there are CPUs, because much of it is waiting.
          maxConcurrency: 3,
          testTimeout: 900_000,
        },
      },
      {
        test: {
          name: 'vm',
          include: ['test/vm/cases/**/*.test.ts'],
          // Emulation on two cores: one guest family at a time, nothing beside it, and a boot takes as long as it takes.
          fileParallelism: false,
          sequence: { groupOrder: 2 },
          testTimeout: 300_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
})
